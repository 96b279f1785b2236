"""What is shown while a run trains."""

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.interfaces import Plan, Progress
from m3i_dsl.runtime.reporting.display import Clock, PlainDisplay, display_for
from m3i_dsl.runtime.reporting.live import LiveDisplay
from m3i_dsl.runtime.reporting.resources import Memory
from m3i_dsl.runtime.reporting.text import duration, sparkline
from m3i_dsl.vocabulary.kinds import ACCURACY, Measure, Score

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
        utilization=0.413,
        memory=Memory(3 * 2**30, 61 * 2**30, 80 * 2**30),
        checkpoint_stall=0.0123,
    )


def test_plain_lines_come_with_time_and_at_the_end() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream, seconds=3600)
    display.start(PLAN)
    for step in range(10, 101, 10):
        display.update(progress(step))
    shown = stream.getvalue().splitlines()
    assert shown[0] == "training tiny: 100 steps of 8 (10 epochs) on CPU"
    assert len(shown) == 3
    assert shown[1].startswith("step 10/100  epoch 1.0  loss 1.4  m3i.intra 0.9  m3i.inter 0.5  lr 1.00e-03")
    assert "1234 images/s  MFU 41%  memory 61.0 of 80.0 GiB  data wait 25%  checkpoint stall 1.2%" in shown[1]
    assert shown[2].startswith("step 100/100") and shown[2].endswith("left 0s")


def test_plain_lines_are_what_a_pipe_gets() -> None:
    assert isinstance(display_for(io.StringIO()), PlainDisplay)


def test_the_live_display_shows_targets_rates_monitors_and_evaluations() -> None:
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=110, height=40))
    display.start(PLAN)
    for step in range(10, 60, 10):
        display.update(progress(step))
    surprise = Measure("surprise", "nats", "lower")
    for accuracy, nats in ((0.91, 0.25), (0.905, 0.5)):
        display.evaluated(50, {"knn.accuracy": Score(accuracy, ACCURACY), "mine.surprise": Score(nats, surprise)})
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
        "MFU 41%",
        "61.0 of 80.0 GiB",
        "data wait 25%",
        "checkpoint stall 1.2%",
        "spread",
        "12",
    ):
        assert part in text, part
    assert [line.split()[:5] for line in text.splitlines() if line.startswith(("knn", "mine"))] == [
        ["knn.accuracy", "90.5%", "91.0%", "\u2588\u2581"],
        ["mine.surprise", "0.5", "nats", "0.25", "nats"],  # lower is better
    ]
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
    assert [duration(s) for s in (12, 200, 3900, 183600, float("inf"))] == ["12s", "3m20s", "1h05m", "2d3h", "?"]


def test_what_is_not_known_is_left_out() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.start(PLAN)
    display.update(replace(progress(10), utilization=None, memory=Memory(3 * 2**29)))
    line = stream.getvalue().splitlines()[1]
    assert "MFU" not in line and "memory 1.5 GiB  data wait" in line and line.endswith("left ?")


def test_a_run_of_many_ranks_that_was_restarted() -> None:
    plan = replace(PLAN, world=8, device="NVIDIA H100 80GB HBM3", first=40, restarts=2)
    stream = io.StringIO()
    PlainDisplay(stream).start(plan)
    assert stream.getvalue() == (
        "training tiny: 100 steps of 8 (10 epochs) on 8 x NVIDIA H100 80GB HBM3, from step 40, restarted 2 times\n"
    )


def test_the_time_left_does_not_count_what_came_before_the_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([1000.0, 1010.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    clock = Clock()
    assert clock.left(PLAN, 10) == float("inf")
    assert clock.left(PLAN, 30) == 35.0, "20 steps in 10 seconds, 70 to go"
    assert clock.left(PLAN, 100) == 0.0
