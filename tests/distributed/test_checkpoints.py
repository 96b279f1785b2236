"""Checkpoints of several processes: read by any other number, however the module is spread; chosen by all alike."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from m3i_dsl.runtime.checkpoints import writing
from m3i_dsl.runtime.checkpoints.content import Content
from m3i_dsl.runtime.checkpoints.folder import entry_of, verify
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.distributed.agreement import by_first
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.run_folder import RunFolder
from tests.distributed.checkpointed import members, restored, saved
from tests.distributed.processes import ONE_WORKER, run
from tests.runtime.tiny import create

pytestmark = ONE_WORKER

WAYS = [
    ("ddp", "one"),
    ("one", "ddp"),
    ("ddp", "fsdp"),
    ("fsdp", "ddp"),
    ("fsdp", "one"),
    ("one", "fsdp"),
    ("hsdp", "fsdp"),
    ("fsdp", "hsdp"),
]


def on(way: str, function: Any, *arguments: Any) -> list[Any]:
    return [function(*arguments, way)] if way == "one" else run(function, *arguments, way)


@pytest.mark.parametrize(("written", "read"), WAYS)
def test_what_one_way_of_spreading_wrote_is_read_by_another(tmp_path: Path, written: str, read: str) -> None:
    before = torch.get_rng_state()
    expected, settings, random = on(written, saved, tmp_path)[0]
    for found, other_settings, same_random, restored_to in on(read, restored, tmp_path):
        assert found.keys() == expected.keys()
        assert len([name for name in found if name.startswith("optimizer/")]) == 15
        for name, tensor in expected.items():
            assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name
        assert other_settings == settings
        assert torch.equal(same_random, random)
        assert restored_to == (3, 7, True)
    torch.set_rng_state(before)


def test_each_byte_is_written_once_and_the_work_is_shared(tmp_path: Path) -> None:
    run(saved, tmp_path, "ddp")
    path = tmp_path / "step-000003"
    state = json.loads((path / "state.json").read_text())
    sizes: list[int] = []
    written: list[str] = []
    for rank in (1, 2):
        of_rank = list(path.glob(f"shard-{rank:05d}-*"))
        headers = [_header(file) for file in of_rank]
        written += [name for header in headers for name in header]
        sizes.append(sum(entry["data_offsets"][1] - entry["data_offsets"][0] for h in headers for entry in h.values()))
    assert sorted(written) == sorted(state["tensors"])
    assert max(sizes) < 0.6 * sum(sizes)


def _header(file: Path) -> dict[str, Any]:
    """The table at the beginning of a safetensors file."""
    content = file.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    header.pop("__metadata__")
    return header


# --- damage -----------------------------------------------------------------------------------------------------------


def large(step: int) -> Content:
    return Content({f"weights/{name}": torch.full((500,), float(step)) for name in "abcd"}, {"step": step})


def fill(folder: Path, *steps: int) -> None:
    with CheckpointStore(folder, 9, members()) as store:
        for step in steps:
            store.save(step, large(step))


def choose(folder: Path) -> tuple[int | str, list[str]]:
    with CheckpointStore(folder, 9, members()) as store:
        try:
            checkpoint, warnings = store.newest()
        except TrainingFault as fault:
            return fault.code, [fault.text()]
        if checkpoint is not None:
            place = torch.empty(500)
            checkpoint.read({"weights/d": place})
            assert torch.equal(place, torch.full((500,), float(checkpoint.step)))
            store.set_aside_after(checkpoint.step)
    return (0 if checkpoint is None else checkpoint.step), [warning.message for warning in warnings]


def test_all_processes_leave_aside_what_one_finds_damaged(tmp_path: Path) -> None:
    run(fill, tmp_path, 10, 20)
    shard = next((tmp_path / "step-000020").glob("shard-00002-*"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    chosen = run(choose, tmp_path)
    assert [step for step, _ in chosen] == [10, 10]
    assert chosen[0][1] == chosen[1][1] and f"`{shard.name}` does not match its sha256" in chosen[0][1][0]
    assert (tmp_path / "step-000020.damaged").is_dir()

    next((tmp_path / "step-000010").glob("shard-00001-*")).unlink()
    (first, text), (second, _) = run(choose, tmp_path)
    assert (first, second) == ("M3I0702", "M3I0731") and "shard-00001" in text[0]


def fail_on_one(folder: Path) -> tuple[str, int, list[str]]:
    """Process 1 cannot write large files; gives the fault, the boundary at which it came, and what is left."""
    processes = members()
    with CheckpointStore(folder, 9, processes) as store:
        store.save(10, large(10))
        store.wait()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        if processes.rank == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        code, boundary = "", 0
        try:
            store.save(20, large(20))
            while boundary < 100_000:
                boundary += 1
                store.poll()
                dist.all_reduce(torch.zeros(1))
        except TrainingFault as fault:
            code = fault.code
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        dist.barrier()
        left = sorted(path.name for path in folder.iterdir())
        store.save(20, large(20))  # there is space again
    return code, boundary, left


def test_a_disk_that_is_full_for_one_is_a_fault_of_all_at_the_same_boundary(tmp_path: Path) -> None:
    (first, at, left), (second, same, _) = run(fail_on_one, tmp_path)
    assert (first, second) == ("M3I0706", "M3I0731")
    assert at == same
    assert left == ["latest", "step-000010"]
    assert verify(tmp_path / "step-000020", 20) is None


# --- while training goes on -------------------------------------------------------------------------------------------


def train_while_saving(folder: Path) -> int:
    """Collectives of training on one process meet those of a save on another in every order, and never mix."""
    processes = members()
    draw = torch.Generator().manual_seed(processes.rank)
    total = 0
    with pytest.MonkeyPatch.context() as patch, CheckpointStore(folder, 2, processes) as store:
        patch.setattr(writing, "entry_of", lambda path: (_pause(draw), entry_of(path))[1])
        for step in range(1, 41):
            _pause(draw)
            mine = torch.tensor([step * (processes.rank + 1)])
            dist.all_reduce(mine)
            total += int(mine)
            store.poll()
            if step % 4 == 0:
                store.save(step, large(step))
    return total


def _pause(draw: torch.Generator) -> None:
    torch.randn(int(torch.randint(1, 200_000, (1,), generator=draw)))


def test_training_goes_on_while_processes_save(tmp_path: Path) -> None:
    assert run(train_while_saving, tmp_path) == [820 * 3] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step-000036", "step-000040"]
    assert verify(tmp_path / "step-000040", 40) is None


# --- one training in a folder -----------------------------------------------------------------------------------------


def enter(path: Path) -> str:
    """The code of the fault that keeps this process from training in `path`."""
    opened: list[RunFolder] = []
    try:
        by_first(members(), lambda: opened.append(RunFolder.open(path)))
    except TrainingFault as fault:
        return fault.code
    for folder in opened:
        folder.close()
    return ""


def test_processes_are_told_that_another_training_holds_the_folder(tmp_path: Path) -> None:
    with create(tmp_path / "run"):
        assert run(enter, tmp_path / "run") == ["M3I0705", "M3I0731"]
    assert run(enter, tmp_path / "run") == ["", ""]
