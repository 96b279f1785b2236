"""What is shown while training runs: plain lines, or (live.py) a live table.

Takes: the plan of a run, then its progress. Gives: text on standard error. Guarantees: standard output stays free for
results; nothing is shown more often than a person can read; what is not known is left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TextIO

from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.interfaces import Display, Plan, Progress
from m3i_dsl.runtime.reporting.text import duration, times
from m3i_dsl.vocabulary.kinds import Score


class PlainDisplay:
    """One line every `seconds`, for logs and pipes."""

    def __init__(self, stream: TextIO, seconds: float = 10.0) -> None:
        self._stream = stream
        self._seconds = seconds
        self._shown = float("-inf")
        self._plan: Plan | None = None
        self._clock = Clock()

    def start(self, plan: Plan) -> None:
        self._plan = plan
        self._clock = Clock()
        self._line(describe(plan))

    def update(self, progress: Progress) -> None:
        assert self._plan is not None, "`start` comes first"
        left = self._clock.left(self._plan, progress.step)
        now = time.monotonic()
        if now - self._shown < self._seconds and progress.step != self._plan.last:
            return
        self._shown = now
        losses = "  ".join(f"{name} {value:.4g}" for name, value in progress.losses.items())
        self._line(
            f"step {progress.step}/{self._plan.total}  epoch {progress.step / self._plan.steps_per_epoch:.1f}  "
            f"loss {progress.loss:.4g}  {losses}  lr {progress.learning_rate:.2e}  "
            f"{'  '.join(_rate(name, value) for name, value in rates(progress))}  left {duration(left)}"
        )

    def evaluated(self, step: int, results: Mapping[str, Score]) -> None:
        self._line(f"step {step}  " + "  ".join(f"{name} {score}" for name, score in results.items()))

    def say(self, text: str) -> None:
        self._line(text)

    def warn(self, notice: Notice) -> None:
        self._line(notice.text())

    def close(self) -> None:
        self._stream.flush()

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Silent:
    """The display of every rank but the first."""

    def start(self, plan: Plan) -> None:
        pass

    def update(self, progress: Progress) -> None:
        pass

    def evaluated(self, step: int, results: Mapping[str, Score]) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def warn(self, notice: Notice) -> None:
        pass

    def close(self) -> None:
        pass


class Clock:
    """Time left, from the steps done since the first progress: before it, workers start and blocks are compiled."""

    def __init__(self) -> None:
        self._since: tuple[int, float] | None = None

    def left(self, plan: Plan, step: int) -> float:
        """Seconds; infinite while it is not known."""
        if step >= plan.total:
            return 0.0
        now = time.monotonic()
        if self._since is None:
            self._since = step, now
        first, began = self._since
        return (now - began) / (step - first) * (plan.total - step) if step > first else float("inf")


def display_for(stream: TextIO | None = None, seconds: float = 10.0) -> Display:
    """The live display on a terminal, plain lines elsewhere."""
    chosen: TextIO = sys.stderr if stream is None else stream
    if chosen.isatty():
        from m3i_dsl.runtime.reporting.live import LiveDisplay

        return LiveDisplay.on(chosen)
    return PlainDisplay(chosen, seconds)


def describe(plan: Plan) -> str:
    """The headline of a run."""
    epochs = plan.total / plan.steps_per_epoch
    devices = f" on {plan.world} x {plan.device}" if plan.world > 1 else f" on {plan.device}"
    start = f", from step {plan.first}" if plan.first else ""
    restarts = f", restarted {times(plan.restarts)}" if plan.restarts else ""
    return f"training {plan.recipe}: {plan.total} steps of {plan.batch} ({epochs:.4g} epochs){devices}{start}{restarts}"


def rates(progress: Progress) -> list[tuple[str, str]]:
    """(name, value) of what tells how well the machine is used."""
    found = [("images/s", f"{progress.images_per_second:.0f}")]
    if progress.utilization is not None:
        found.append(("MFU", f"{progress.utilization:.0%}"))
    if progress.memory is not None:
        found.append(("memory", progress.memory.text()))
    found.append(("data wait", f"{progress.data_wait:.0%}"))
    if progress.checkpoint_stall > 0:
        found.append(("checkpoint stall", f"{progress.checkpoint_stall:.1%}"))
    return found


def _rate(name: str, value: str) -> str:
    """A unit stands behind its number, a name in front of it."""
    return f"{value} {name}" if name == "images/s" else f"{name} {value}"
