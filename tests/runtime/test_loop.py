"""The loop on a hand-made recipe: what it computes, logs, evaluates, and how it stops."""

import json
import math
import signal
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from m3i_dsl.runtime import loop
from m3i_dsl.runtime.checkpoints.content import Content
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.reporting.metrics import LASTING
from m3i_dsl.runtime.run_folder import RunFolder
from m3i_dsl.vocabulary.kinds import ACCURACY, LOSS, Score
from m3i_dsl.vocabulary.optimizers import Lamb, Lars, Sgd
from m3i_dsl.vocabulary.values import Duration, Rate
from tests.runtime.tiny import (
    BATCH,
    STEPS_PER_EPOCH,
    Silent,
    Step,
    TinyGraph,
    TinyStream,
    create,
    raise_signal_at,
    tiny_graph,
    trainer,
)

TOTAL = 4 * STEPS_PER_EPOCH


def weights(graph: TinyGraph) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in graph.module.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def lines(run: RunFolder) -> list[dict[str, Any]]:
    """What a run recorded, without its starts and stops and without the time of day."""
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [
        {name: value for name, value in record.items() if name != "time"}
        for record in records
        if record["event"] not in LASTING
    ]


def test_what_a_step_has_computed_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A representation of ViT-B is 155 MB at 256 images; it must not lie beside that of the next step."""
    computed = loop.TrainingStep.__call__
    kept: list[weakref.ref[torch.Tensor]] = []

    def noting(step_once: loop.TrainingStep, step: int, batch: Any) -> loop.StepOutput:
        output = computed(step_once, step, batch)
        kept.extend(weakref.ref(tensor) for tensor in (output.loss, *output.representations.values()))
        return output

    def all_gone(step: int) -> None:
        assert (len(kept) > step) and not any(reference() is not None for reference in kept) if step else not kept

    monkeypatch.setattr(loop.TrainingStep, "__call__", noting)
    with create(tmp_path / "run") as run:
        trainer(run, tiny_graph(), TinyStream(before=all_gone), max_steps=4, monitor_every=2, log_every=1).run()
    assert len(kept) > 4


def test_a_run_equals_a_plain_loop(tmp_path: Path) -> None:
    graph = tiny_graph(dropout=0.0, dtype=torch.float64)
    with create(tmp_path / "run") as run:
        outcome = trainer(run, graph, TinyStream(dtype=torch.float64)).run()
    assert (outcome.status, outcome.step, outcome.exit_code) == ("finished", TOTAL, 0)

    model = Step(8, 0.0, norm=True, coupled=True).double()
    model.load_state_dict(tiny_graph(dtype=torch.float64).module.state_dict())
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=0.01,
        betas=(0.9, 0.95),
    )
    pairs = list(zip(model.encoders["momentum"].parameters(), model.encoders["image"].parameters(), strict=True))
    for step in range(TOTAL):
        rate = 0.01 * ((step + 1) / 2 if step < 2 else (1 + math.cos(math.pi * (step - 2) / (TOTAL - 2))) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        model(**TinyStream(dtype=torch.float64).at(step))["loss"].backward()
        torch.nn.utils.clip_grad_norm_([*matrices, *others], 1.0)
        optimizer.step()
        momentum = 1 - 0.1 * (1 + math.cos(math.pi * step / TOTAL)) / 2
        with torch.no_grad():
            for average, source in pairs:
                average.copy_(momentum * average + (1 - momentum) * source)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(graph.module.state_dict()[name], tensor, rtol=1e-7, atol=1e-9)


def test_metrics_have_what_a_run_is_read_by(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        trainer(run).run()
        records = lines(run)
    assert [record["step"] for record in records] == list(range(2, TOTAL + 1, 2))
    last = records[-1]
    assert last["epoch"] == 4.0
    assert set(last["losses"]) == {"m3i.intra", "m3i.inter"}
    assert set(last["weights"]) == {"m3i.intra", "m3i.inter"}
    assert last["images_per_second"] > 0 and 0 <= last["data_wait"] <= 1 and last["gradient_norm"] > 0
    assert last["momentum"] == [pytest.approx(1 - 0.1 * (1 + math.cos(math.pi * (TOTAL - 1) / TOTAL)) / 2)]
    assert "m3i.intra/alignment" in last["monitors"] and "m3i/input/effective_rank" in last["monitors"]
    assert records[0]["monitors"] == {}  # measured every 4 steps, not at 2
    assert records[0]["learning_rate"] == pytest.approx(0.01)


def test_evaluations_come_when_due_and_change_nothing(tmp_path: Path) -> None:
    plain, measured = tiny_graph(), tiny_graph()
    with create(tmp_path / "plain") as run:
        trainer(run, plain).run()
    seen: list[tuple[int, bool]] = []

    def measure(step: int) -> dict[str, Score]:
        seen.append((step, measured.module.training))
        torch.randn(100)  # an evaluation may draw; training must not notice
        return {"knn.accuracy": Score(step / 100, ACCURACY)}

    display = Silent()
    with create(tmp_path / "measured") as run:
        callbacks = [(Duration(1.5, "epochs"), measure), (None, lambda step: {"linear.loss": Score(math.nan, LOSS)})]
        outcome = trainer(run, measured, callbacks=callbacks, display=display).run()
        evaluations = [record for record in lines(run) if record["event"] == "evaluation"]
        summary = json.loads(run.summary.read_text())
    assert seen == [(8, False), (16, False), (20, False)]
    assert measured.module.training
    assert [(record["step"], record["results"]) for record in evaluations] == [
        (8, {"knn.accuracy": 0.08}),
        (16, {"knn.accuracy": 0.16}),
        (20, {"knn.accuracy": 0.2}),
        (20, {"linear.loss": None}),
    ]
    assert summary["results"] == {"knn.accuracy": 0.2, "linear.loss": None}  # not a number is no number
    assert outcome.results["knn.accuracy"] == Score(0.2, ACCURACY)
    assert evaluations[-1]["measures"] == {"linear.loss": {"name": "loss", "unit": "", "better": "lower"}}
    assert summary["measures"] == {**evaluations[0]["measures"], **evaluations[-1]["measures"]}
    assert display.evaluations[0] == (8, {"knn.accuracy": Score(0.08, ACCURACY)})
    assert equal(weights(plain), weights(measured))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)], ids=lambda v: str(v)
)
def test_a_signal_stops_at_the_boundary_and_the_run_continues_to_the_bit(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    whole = tiny_graph()
    with create(tmp_path / "whole") as run:
        trainer(run, whole).run()
        expected = [record["loss"] for record in lines(run)]

    handler = signal.getsignal(number)
    display = Silent()
    with create(tmp_path / "run") as run:
        stream = TinyStream(before=raise_signal_at(7, number))
        outcome = trainer(run, tiny_graph(), stream, display=display).run()
    assert (outcome.status, outcome.step, outcome.exit_code) == ("stopped", 8, code)
    assert display.said[-1] == f"stopped by {number.name} after step {outcome.step}; everything is saved"
    assert signal.getsignal(number) is handler
    assert (run.checkpoints / "latest").read_text() == "step-000008\n"

    resumed = tiny_graph(width=8)
    torch.manual_seed(99)  # whatever the process drew before must not matter
    with RunFolder.open(tmp_path / "run") as run:
        outcome = trainer(run, resumed).run(resume=True)
        assert [record["loss"] for record in lines(run)] == expected
    assert outcome.status == "finished"
    assert equal(weights(whole), weights(resumed))


def test_a_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored

    def twice(step: int) -> None:
        if step == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    try:
        with create(tmp_path / "run") as run, pytest.raises(KeyboardInterrupt):
            trainer(run, stream=TinyStream(before=twice)).run()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "word",
    [Sgd(lr=Rate(0.1, None)), Lars(lr=Rate(1.0, None)), Lamb(lr=Rate(0.01, None))],
    ids=lambda word: word.name,
)
def test_every_optimizer_continues_to_the_bit(tmp_path: Path, word: Any) -> None:
    whole, resumed = tiny_graph(optimizer=word), tiny_graph(optimizer=word)
    with create(tmp_path / "whole") as run:
        trainer(run, whole).run()
    with create(tmp_path / "run") as run:
        assert trainer(run, tiny_graph(optimizer=word), max_steps=9).run().status == "partial"
    with RunFolder.open(tmp_path / "run") as run:
        assert trainer(run, resumed).run(resume=True).status == "finished"
    assert equal(weights(whole), weights(resumed))


def test_the_data_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first, second = TinyStream(), TinyStream()
    with create(tmp_path / "run") as run:
        trainer(run, stream=first, max_steps=6).run()
    with RunFolder.open(tmp_path / "run") as run:
        trainer(run, stream=second).run(resume=True)
    assert first.asked + second.asked == list(range(TOTAL))


def test_evaluations_that_a_signal_cut_off_are_made_on_resuming(tmp_path: Path) -> None:
    def measure(step: int) -> dict[str, Score]:
        return {"knn.accuracy": Score(float(step), ACCURACY)}

    every = [(Duration(5, "steps"), measure)]
    with create(tmp_path / "run") as run:
        stream = TinyStream(before=raise_signal_at(4, signal.SIGTERM))
        assert trainer(run, stream=stream, callbacks=every).run().step == 5
        assert not [record for record in lines(run) if record["event"] == "evaluation"]
    with RunFolder.open(tmp_path / "run") as run:
        trainer(run, callbacks=every).run(resume=True)
        evaluated = [record["step"] for record in lines(run) if record["event"] == "evaluation"]
    assert evaluated == [5, 10, 15, 20]


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        trainer(run, callbacks=[(None, lambda step: {"a": Score(1.0, LOSS)})]).run()
        before = lines(run)
    stream = TinyStream()
    with RunFolder.open(tmp_path / "run") as run:
        outcome = trainer(run, stream=stream, callbacks=[(None, lambda step: {"a": Score(1.0, LOSS)})]).run(resume=True)
        assert lines(run) == before
    assert (outcome.status, outcome.step, stream.asked) == ("finished", TOTAL, [])


def test_checkpoints_come_as_asked_and_the_newest_are_kept(tmp_path: Path) -> None:
    saved: list[int] = []
    real = CheckpointStore.save

    def save(store: CheckpointStore, step: int, files: Content) -> None:
        saved.append(step)
        real(store, step, files)

    with pytest.MonkeyPatch.context() as patch, create(tmp_path / "run") as run:
        patch.setattr(CheckpointStore, "save", save)
        trainer(run, checkpoint_every=Duration(6, "steps"), keep=3).run()
    assert saved == [6, 12, 18, 20]
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [
        "latest",
        "step-000012",
        "step-000018",
        "step-000020",
    ]


def test_by_default_a_checkpoint_comes_with_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m3i_dsl.runtime.loop.EPOCH_SAVE_SECONDS", 0.0)
    with create(tmp_path / "run") as run:
        trainer(run, keep=9).run()
    found = sorted(path.name for path in run.checkpoints.glob("step-*"))
    assert found == ["step-000005", "step-000010", "step-000015", "step-000020"]


def test_a_recipe_of_no_steps_is_refused(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run, pytest.raises(TrainingFault) as caught:
        trainer(run, tiny_graph(epochs=0.01))
    assert caught.value.code == "M3I0712"


def test_bf16_keeps_weights_in_fp32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m3i_dsl.runtime.precision.has_bf16", lambda device: True)
    graph = tiny_graph(precision="bf16", coupled=False, dropout=0.0)
    reference = tiny_graph(coupled=False, dropout=0.0)
    with create(tmp_path / "bf16") as run:
        trainer(run, graph, max_steps=1).run()
        half = lines(run)[0]["loss"]
    with create(tmp_path / "fp32") as run:
        trainer(run, reference, max_steps=1).run()
        single = lines(run)[0]["loss"]
    assert all(p.dtype == torch.float32 for p in graph.module.parameters())
    assert half == pytest.approx(single, rel=0.02) and half != single


def test_bf16_without_hardware_is_fp32_and_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m3i_dsl.runtime.precision.has_bf16", lambda device: False)
    display = Silent()
    asked, plain = tiny_graph(precision="bf16"), tiny_graph()
    with create(tmp_path / "run") as run:
        trainer(run, asked, display=display).run()
    with create(tmp_path / "plain") as run:
        trainer(run, plain).run()
    assert sum("bf16" in text for text in display.said) == 1
    assert equal(weights(asked), weights(plain))


def test_the_plan_names_targets_and_where_it_starts(tmp_path: Path) -> None:
    display = Silent()
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=4).run()
    with RunFolder.open(tmp_path / "run") as run:
        trainer(run, display=display).run(resume=True)
    plan = display.plan
    assert plan is not None
    assert (plan.first, plan.total, plan.batch, plan.targets) == (4, TOTAL, BATCH, ("m3i.intra", "m3i.inter"))


def test_other_circumstances_are_said(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=2).run()
    display = Silent()
    with pytest.MonkeyPatch.context() as patch, RunFolder.open(tmp_path / "run") as run:
        patch.setattr(torch, "get_num_threads", lambda: 64)
        trainer(run, display=display).run(resume=True)
    assert any("threads was" in text and "not bit for bit" in text for text in display.said)


def test_memory_that_a_cpu_lacks_is_a_fault_that_names_the_settings(tmp_path: Path) -> None:
    graph = tiny_graph()
    calls: list[int] = []

    def greedy(*_: object) -> None:
        calls.append(0)
        if len(calls) == 3:
            torch.empty(1 << 50)

    graph.module.register_forward_pre_hook(greedy)
    with create(tmp_path / "run") as run, pytest.raises(TrainingFault) as fault:
        trainer(run, graph, TinyStream()).run()
    assert (fault.value.code, fault.value.message) == ("M3I0714", "step 3 does not fit the memory of the device")
    assert "--recompute blocks" in fault.value.helps[0]
    assert "allocate" in fault.value.notice.notes[0]


def test_another_runtime_error_is_not_taken_for_lack_of_memory(tmp_path: Path) -> None:
    graph = tiny_graph()

    def broken(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    graph.module.register_forward_pre_hook(broken)
    with create(tmp_path / "run") as run, pytest.raises(RuntimeError, match="mat1 and mat2"):
        trainer(run, graph, TinyStream()).run()
