"""What is shown while training runs: plain lines, or (live.py) a live table.

Takes: the plan of a run, then its progress. Gives: text on standard error. Guarantees: standard output stays free for
results; nothing is shown more often than a person can read.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TextIO

from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.interfaces import Display, Plan, Progress

_BARS = "".join(chr(0x2581 + height) for height in range(8))  # block elements, lowest first


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
            f"{progress.images_per_second:.0f} images/s  data wait {progress.data_wait:.0%}  left {duration(left)}"
        )

    def evaluated(self, step: int, results: Mapping[str, float]) -> None:
        self._line(f"step {step}  " + "  ".join(f"{name} {value:.4g}" for name, value in results.items()))

    def say(self, text: str) -> None:
        self._line(text)

    def warn(self, notice: Notice) -> None:
        self._line(notice.text())

    def close(self) -> None:
        self._stream.flush()

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Clock:
    """Time left, from the steps done since the display started."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def left(self, plan: Plan, step: int) -> float:
        done = step - plan.first
        return (time.monotonic() - self._started) / done * (plan.total - step) if done > 0 else float("inf")


def display_for(stream: TextIO | None = None) -> Display:
    """The live display on a terminal, plain lines elsewhere."""
    chosen: TextIO = sys.stderr if stream is None else stream
    if chosen.isatty():
        from m3i_dsl.runtime.reporting.live import LiveDisplay

        return LiveDisplay.on(chosen)
    return PlainDisplay(chosen)


def describe(plan: Plan) -> str:
    """The headline of a run."""
    epochs = plan.total / plan.steps_per_epoch
    start = f", from step {plan.first}" if plan.first else ""
    return f"training {plan.recipe}: {plan.total} steps of {plan.batch} ({epochs:.4g} epochs){start}"


def duration(seconds: float) -> str:
    """`1h05m`, `3m20s`, `12s`; `?` while it is not known."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def sparkline(values: list[float], width: int = 16) -> str:
    """The last values as bars of eight heights; the means of groups when there are more than `width`."""
    size = max(1, -(-len(values) // width))
    means = [sum(group) / len(group) for group in (values[i : i + size] for i in range(0, len(values), size))]
    if not means:
        return ""
    low, high = min(means), max(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in means)
