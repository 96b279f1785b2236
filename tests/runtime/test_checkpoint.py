"""Checkpoints: published whole, verified when read, never overwritten; a damaged one is named and the one before it
used.
"""

import json
import os
import resource
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributed.checkpoint import filesystem

from m3i_dsl.runtime.checkpoints.content import Content
from m3i_dsl.runtime.checkpoints.folder import manifest_of, published, verify
from m3i_dsl.runtime.checkpoints.reading import Checkpoint
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity
from m3i_dsl.vocabulary.values import Duration
from tests.runtime.test_loop import equal, weights
from tests.runtime.tiny import IDENTITY, Silent, TinyStream, create, tiny_graph, trainer

SHARD = "shard-00001-model-00001-of-00001.safetensors"
MOMENTS = "shard-00001-model-00002-of-00002.safetensors"


def content(step: int, size: int = 64, **plain: Any) -> Content:
    return Content({"weights/w": torch.full((size,), float(step))}, {"step": step} | plain)


def filled(folder: Path, *steps: int, keep: int = 9) -> CheckpointStore:
    store = CheckpointStore(folder, keep)
    for step in steps:
        store.save(step, content(step))
    store.wait()
    return store


def weight(checkpoint: Checkpoint, size: int = 64) -> Tensor:
    place = torch.empty(size)
    checkpoint.read({"weights/w": place})
    return place


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    checkpoint, damaged = filled(tmp_path, 120).newest()
    assert checkpoint is not None and damaged == []
    assert (checkpoint.step, checkpoint.path.name) == (120, "step-000120")
    assert torch.equal(weight(checkpoint), torch.full((64,), 120.0))
    assert checkpoint.plain() == {"step": 120}
    assert (tmp_path / "latest").read_text() == "step-000120\n"
    manifest = json.loads((checkpoint.path / "manifest.json").read_text())
    assert manifest["files"].keys() == {SHARD, "state.json"}


def test_nothing_is_loaded_ahead_on_a_stream_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a GPU, torch's writer copies ahead on the current stream, and waits for it every megabyte."""

    def ahead(*_: object, **__: object) -> None:
        raise AssertionError("the writer loads ahead")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(filesystem, "_OverlappingCpuLoader", ahead)
    checkpoint, _ = filled(tmp_path, 1).newest()
    assert checkpoint is not None and torch.equal(weight(checkpoint), torch.ones(64))


def test_the_thread_that_writes_uses_the_gpu_of_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[str, torch.device]] = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: used.append((threading.current_thread().name, device)))
    device = torch.device("cuda", 1)
    store = CheckpointStore(tmp_path, 1, Processes(device))
    store.save(1, content(1))
    store.close()
    assert used == [("checkpoint_0", device)]


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "none").newest() == (None, [])


def test_a_step_is_never_overwritten(tmp_path: Path) -> None:
    store = filled(tmp_path, 5)
    with pytest.raises(TrainingFault) as caught:
        store.save(5, content(5))
    assert caught.value.code == "M3I0713"
    assert verify(tmp_path / "step-000005", 5) is None


def test_the_newest_are_kept(tmp_path: Path) -> None:
    filled(tmp_path, 1, 2, 3, 1_000_000, keep=2)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-000003", "step-1000000"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x10
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


DAMAGE: list[tuple[str, Callable[[Path], Any], str]] = [
    (SHARD, flip, f"`{SHARD}` does not match its sha256"),
    (SHARD, truncate, f"`{SHARD}` has"),
    ("state.json", Path.unlink, "`state.json` is missing"),
    ("manifest.json", Path.unlink, "`manifest.json` is missing"),
    ("manifest.json", truncate, "`manifest.json` cannot be read"),
]


@pytest.mark.parametrize(("name", "damage", "said"), DAMAGE, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    tmp_path: Path, name: str, damage: Callable[[Path], Any], said: str
) -> None:
    store = filled(tmp_path, 10, 20)
    damage(tmp_path / "step-000020" / name)
    checkpoint, damaged = store.newest()
    assert checkpoint is not None and checkpoint.step == 10
    (notice,) = damaged
    assert notice.code == "M3I0702" and "step-000020" in notice.message and said in notice.message


def test_every_flipped_byte_of_a_manifest_is_noticed(tmp_path: Path) -> None:
    filled(tmp_path, 7)
    path = tmp_path / "step-000007"
    manifest = path / "manifest.json"
    whole = manifest.read_bytes()
    meaning = json.loads(whole)
    for index in range(len(whole)):
        changed = bytearray(whole)
        changed[index] ^= 0x01
        manifest.write_bytes(changed)
        try:
            same = json.loads(changed) == meaning
        except ValueError:
            same = False
        assert same or verify(path, 7) is not None, (index, whole[index : index + 1])


def test_a_manifest_of_another_step_is_noticed(tmp_path: Path) -> None:
    filled(tmp_path, 7)
    shutil.copytree(tmp_path / "step-000007", tmp_path / "step-000008")
    assert "step 7" in (verify(tmp_path / "step-000008", 8) or "")


def test_nothing_valid_is_a_fault_that_names_all(tmp_path: Path) -> None:
    store = filled(tmp_path, 10, 20)
    for step in (10, 20):
        flip(tmp_path / f"step-{step:06d}" / SHARD)
    with pytest.raises(TrainingFault) as caught:
        store.newest()
    assert caught.value.code == "M3I0702"
    assert "step-000010" in caught.value.text() and "step-000020" in caught.value.text()


def test_leftovers_of_a_killed_save_are_ignored_and_removed(tmp_path: Path) -> None:
    store = filled(tmp_path, 10)
    half = tmp_path / "step-000020.tmp"
    half.mkdir()
    (half / SHARD).write_bytes(b"half")
    assert store.newest()[0] is not None
    filled(tmp_path, 20)
    assert not half.exists() and verify(tmp_path / "step-000020", 20) is None


@pytest.mark.parametrize("large", [content(20, 100_000), content(20, text="x" * 400_000)], ids=["shard", "state"])
def test_a_full_disk_loses_nothing(tmp_path: Path, large: Content) -> None:
    store = filled(tmp_path, 10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # larger files cannot be written, as on a full disk
    try:
        with pytest.raises(TrainingFault) as caught:
            store.save(20, large)
            store.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "M3I0706" and "step 20" in caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step-000010"]
    checkpoint, damaged = store.newest()
    assert checkpoint is not None and checkpoint.step == 10 and damaged == []


def test_a_save_that_fails_is_a_fault_at_the_next_boundary(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(step: int) -> None:
        if step == 6:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
        if step > 6:
            time.sleep(0.1)  # for the thread to notice

    stream = TinyStream(before=fill_the_disk)
    try:
        with create(tmp_path / "run") as run, pytest.raises(TrainingFault) as caught:
            trainer(run, stream=stream, checkpoint_every=Duration(7, "steps"), log_every=100).run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "M3I0706" and "step 7" in caught.value.message
    assert max(stream.asked) < 14, "long before the next save"


def test_descriptors_that_run_out_while_training_end_it_with_the_limit_to_raise(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def exhaust(step: int) -> None:
        if step == 9:  # the save of step 8 has waited for that of step 4
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))

    try:
        with create(tmp_path / "run") as run, pytest.raises(TrainingFault) as caught:
            trainer(run, stream=TinyStream(before=exhaust), checkpoint_every=Duration(4, "steps")).run()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.code == "M3I0706" and caught.value.message.endswith("Too many open files")
    assert "`ulimit -n`" in caught.value.helps[0]
    resumed = tiny_graph()
    with RunFolder.open(tmp_path / "run") as run:
        assert 4 in [step for step, _ in published(run.checkpoints)]
        assert trainer(run, resumed).run(resume=True).status == "finished"


def test_a_checkpoint_that_cannot_be_opened_is_not_taken_for_damaged(tmp_path: Path) -> None:
    """One file can be opened at a time: safetensors needs two."""
    store, newest = filled(tmp_path, 10, 20), Checkpoint(20, tmp_path / "step-000020")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.open(os.devnull, os.O_RDONLY)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + 1, hard))
    try:
        with pytest.raises(TrainingFault, match="cannot be read: too many open files") as caught:
            weight(newest)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.code == "M3I0702" and "`ulimit -n`" in caught.value.helps[0]
    checkpoint, damaged = store.newest()
    assert checkpoint is not None and (checkpoint.step, damaged) == (20, [])


def test_training_waits_for_the_copy_only_and_host_memory_stays_flat(tmp_path: Path) -> None:
    weights, before = torch.zeros(1_000_000), 0
    with CheckpointStore(tmp_path) as store:
        for step in range(50):
            weights.fill_(step)
            store.save(step, Content({"weights/w": weights}, {}))
            weights.fill_(-1)  # training goes on
            store.poll()
            if step == 9:
                store.wait()
                before = resident()
        checkpoint, _ = store.newest()
        after = resident()
        assert checkpoint is not None
        assert torch.equal(weight(checkpoint, 1_000_000), torch.full((1_000_000,), 49.0))
    assert after - before < 16_000_000, "40 saves keep less than a tenth of what they have copied"


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_folder_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingFault) as caught:
        filled(tmp_path / "file" / "checkpoints", 1)
    assert caught.value.code == "M3I0706"


# --- in a run ---------------------------------------------------------------------------------------------------------


def test_resuming_from_the_checkpoint_before_a_damaged_one_gives_the_same_weights(tmp_path: Path) -> None:
    whole = tiny_graph()
    with create(tmp_path / "whole") as run:
        trainer(run, whole).run()
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=6).run()
    with RunFolder.open(tmp_path / "run") as run:
        trainer(run, max_steps=12).run(resume=True)
    flip(tmp_path / "run/checkpoints/step-000012" / MOMENTS)

    resumed, display = tiny_graph(), Silent()
    with RunFolder.open(tmp_path / "run") as run:
        trainer(run, resumed, display=display, checkpoint_every=None, max_steps=12).run(resume=True)
        assert (run.checkpoints / "step-000012.damaged").is_dir()
        assert verify(run.checkpoints / "step-000012", 12) is None  # reached and written again
    assert MOMENTS in display.warned[0].message
    with RunFolder.open(tmp_path / "run") as run:
        trainer(run, resumed).run(resume=True)
    assert equal(weights(whole), weights(resumed))


def test_a_run_without_a_checkpoint_starts_again_and_says_so(tmp_path: Path) -> None:
    with create(tmp_path / "run"):
        pass
    display = Silent()
    with RunFolder.open(tmp_path / "run") as run:
        assert trainer(run, display=display).run(resume=True).status == "finished"
    assert any("starting from step 0" in text for text in display.said)


def test_the_state_of_another_program_is_refused(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=2).run()
    other = RunIdentity("tiny", "0" * 64, {})
    saved = {"schema": 1, "recipe": "tiny", "fingerprint": "0" * 64, "versions": {}, "checksum": other.checksum}
    (tmp_path / "run/run.json").write_text(json.dumps(saved))
    with RunFolder.open(tmp_path / "run") as run, pytest.raises(TrainingFault) as caught:
        trainer(run).run(resume=True)
    assert caught.value.code == "M3I0708"


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=2).run()
    with RunFolder.open(tmp_path / "run") as run, pytest.raises(TrainingFault) as caught:
        trainer(run, tiny_graph(width=4)).run(resume=True)
    assert caught.value.code == "M3I0702" and "does not fit" in caught.value.message


def test_identity_travels(tmp_path: Path) -> None:
    with create(tmp_path / "run"):
        pass
    with RunFolder.open(tmp_path / "run") as run:
        assert run.identity == IDENTITY
    assert isinstance(run.identity, RunIdentity)


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["weights/a", "optimizer/a/exp_avg"])
def test_what_is_not_finite_is_never_published_and_the_last_finite_one_is_kept(
    tmp_path: Path, bad: float, name: str
) -> None:
    tensors = {"weights/a": torch.ones(4), "optimizer/a/exp_avg": torch.ones(4)}
    with CheckpointStore(tmp_path, keep=1) as store:
        store.save(1, Content(tensors, {}))
        store.wait()
        tensors[name][2] = bad
        store.save(2, Content(tensors, {}))
        with pytest.raises(TrainingFault) as caught:
            store.wait()
    assert (caught.value.code, caught.value.message) == ("M3I0701", f"`{name}` is not finite after step 2")
    assert f"the last one is `{tmp_path / 'step-000001'}`" in caught.value.notice.notes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step-000001"]


ENTRY = '{"bytes": 1, "sha256": "0"}'


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "7",
        "[]",
        "\x00",
        '{"schema": 2, "step": 3, "files": []}',
        '{"schema": 2, "step": 3, "files": {"state.json": 7}}',
        '{"schema": 2, "step": ' + "9" * 5000 + ', "files": {}}',
        '{"schema": NaN, "step": 3, "files": {}}',
        '{"schema": 2, "step": 3, "files": {"state.json": ' + ENTRY + ', "../../other": ' + ENTRY + "}}",
    ],
)
def test_an_odd_manifest_is_damage_and_no_crash(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert isinstance(manifest_of(tmp_path, 3), str)
