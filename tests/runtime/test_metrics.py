"""The record of a run, and what is shown while it runs."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from m3i_dsl.runtime.faults import Notice, TrainingFault
from m3i_dsl.runtime.interfaces import Plan, Progress
from m3i_dsl.runtime.reporting.display import PlainDisplay, display_for, duration, sparkline
from m3i_dsl.runtime.reporting.live import LiveDisplay
from m3i_dsl.runtime.reporting.metrics import MetricsLog
from m3i_dsl.runtime.run_folder import RunFolder
from tests.runtime.test_loop import lines
from tests.runtime.tiny import create, trainer

PLAN = Plan("tiny", 0, 100, 100, 10, 8, ("m3i.intra", "m3i.inter"))


def progress(step: int) -> Progress:
    return Progress(
        step=step,
        loss=1.5 - step / 100,
        losses={"m3i.intra": 1.0 - step / 100, "m3i.inter": 0.5},
        learning_rate=1e-3,
        images_per_second=1234.0,
        data_wait=0.25,
        weights={"m3i.intra": 0.5},
        monitors={"m3i.intra/target/spread": 0.7, "m3i.intra/target/effective_rank": 12.0},
    )


def test_lines_are_flushed_and_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.write({"event": "step", "step": 1, "loss": float("nan"), "losses": {"a": float("inf")}, "momentum": [0.5]})
        text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text) == {"event": "step", "step": 1, "loss": None, "losses": {"a": None}, "momentum": [0.5]}


def test_what_was_written_after_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.write({"step": 1})
        kept = log.position()
        log.write({"step": 2})
    with MetricsLog(path, keep=kept) as log:
        log.write({"step": 2})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_file_that_was_shortened_keeps_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    with MetricsLog(path, keep=1000) as log:
        log.write({"step": 3})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_resuming_leaves_every_step_once(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=8).run()
        with open(run.metrics, "a") as file:
            file.write('{"event": "step", "step": 10}\n')  # what a killed process wrote after its last checkpoint
    with RunFolder.open(tmp_path / "run") as run:
        trainer(run).run(resume=True)
        steps = [record["step"] for record in lines(run)]
    assert steps == list(range(2, 21, 2))


def test_a_record_that_cannot_be_opened_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(TrainingFault) as caught:
        MetricsLog(tmp_path / "metrics.jsonl")
    assert caught.value.code == "M3I0706"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboard's own imports
def test_tensorboard_gets_the_scalars(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with MetricsLog(tmp_path / "metrics.jsonl", tensorboard=tmp_path / "board") as log:
        log.write({"event": "step", "step": 4, "epoch": 1.0, "loss": 0.5, "losses": {"m3i.intra": 0.25}})
    events = event_accumulator.EventAccumulator(str(tmp_path / "board")).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "losses/m3i.intra"}
    assert (events.Scalars("losses/m3i.intra")[0].step, events.Scalars("losses/m3i.intra")[0].value) == (4, 0.25)


# --- display ----------------------------------------------------------------------------------------------------------


def test_plain_lines_come_with_time_and_at_the_end() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream, seconds=3600)
    display.start(PLAN)
    for step in range(10, 101, 10):
        display.update(progress(step))
    shown = stream.getvalue().splitlines()
    assert shown[0] == "training tiny: 100 steps of 8 (10 epochs)"
    assert len(shown) == 3
    assert shown[1].startswith("step 10/100  epoch 1.0  loss 1.4  m3i.intra 0.9  m3i.inter 0.5  lr 1.00e-03")
    assert "1234 images/s  data wait 25%" in shown[1]
    assert shown[2].startswith("step 100/100") and shown[2].endswith("left 0s")


def test_plain_lines_are_what_a_pipe_gets() -> None:
    assert isinstance(display_for(io.StringIO()), PlainDisplay)


def test_the_live_display_shows_targets_rates_monitors_and_evaluations() -> None:
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=110, height=40))
    display.start(PLAN)
    for step in range(10, 60, 10):
        display.update(progress(step))
    display.evaluated(50, {"knn.accuracy": 0.91})
    display.warn(Notice("M3I0710", "the target vectors of `m3i.intra` are collapsing", helps=("act",)))
    display.say("a remark with [brackets]")
    console = Console(file=io.StringIO(), width=110, record=True)
    console.print(display.render())
    text = console.export_text()
    display.close()
    for part in (
        "epoch 5.0/10",
        "step 50/100",
        "m3i.inter",
        "0.5000",
        "1234 images/s",
        "data wait 25%",
        "spread",
        "12",
    ):
        assert part in text, part
    assert "knn.accuracy" in text and "0.91" in text
    assert "M3I0710" in stream.getvalue() and "[brackets]" in stream.getvalue()


def test_the_live_display_of_a_run_that_only_began() -> None:
    display = LiveDisplay(Console(file=io.StringIO(), force_terminal=True))
    assert display.render().renderables == []
    display.start(PLAN)
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(display.render())
    display.close()
    assert "left ?" in console.export_text()


def test_sparklines() -> None:
    assert sparkline([]) == ""
    assert sparkline([1.0, 1.0]) == "\u2581\u2581"
    assert sparkline([0.0, 7.0]) == "\u2581\u2588"
    assert len(sparkline([float(i) for i in range(1000)])) <= 16


def test_durations() -> None:
    assert [duration(s) for s in (12, 200, 3900, float("inf"))] == ["12s", "3m20s", "1h05m", "?"]
