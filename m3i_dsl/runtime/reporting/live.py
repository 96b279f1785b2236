"""The live display: one table that is redrawn in place.

Takes: the plan of a run, then its progress. Gives: a progress bar with epoch, step and time left; a row for each
target with its loss and the course of it; rates; collapse monitors; evaluations so far. Guarantees: remarks and
warnings scroll above the table and are never overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.interfaces import Plan, Progress
from m3i_dsl.runtime.reporting.display import Clock, describe, duration, sparkline

_HISTORY = 4096
"""How many values are kept for a course; older ones are thinned out by half."""

_SHOWN_MONITORS = ("spread", "effective_rank")


class LiveDisplay:
    """Draws on `console` four times a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plan: Plan | None = None
        self._progress: Progress | None = None
        self._monitors: dict[str, float] = {}
        self._courses: dict[str, list[float]] = {}
        self._evaluations: dict[str, list[float]] = {}
        self._clock = Clock()
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self.render)  # renders at once

    @classmethod
    def on(cls, stream: TextIO) -> LiveDisplay:
        return cls(Console(file=stream, highlight=False))

    def start(self, plan: Plan) -> None:
        self._plan = plan
        self._clock = Clock()
        self._live.start()

    def update(self, progress: Progress) -> None:
        self._progress = progress
        self._monitors |= progress.monitors
        for name, value in {"loss": progress.loss, **progress.losses}.items():
            course = self._courses.setdefault(name, [])
            course.append(value)
            if len(course) > _HISTORY:
                del course[::2]

    def evaluated(self, step: int, results: Mapping[str, float]) -> None:
        for name, value in results.items():
            self._evaluations.setdefault(name, []).append(value)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def warn(self, notice: Notice) -> None:
        self._console.print(notice.text(), style="yellow", markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()

    def render(self) -> Group:
        """What is drawn now."""
        if self._plan is None:
            return Group()
        parts: list[Text | Table] = [Text(describe(self._plan), style="bold"), self._bar(self._plan)]
        if self._progress is not None:
            parts += [self._losses(self._progress), self._rates(self._progress)]
        if shown := self._monitor_table():
            parts.append(shown)
        if self._evaluations:
            parts.append(self._evaluation_table())
        return Group(*parts)

    def _bar(self, plan: Plan) -> Table:
        step = self._progress.step if self._progress else plan.first
        left = duration(self._clock.left(plan, step))
        table = Table.grid(padding=(0, 2))
        table.add_row(
            ProgressBar(total=plan.total, completed=step, width=32),
            f"epoch {step / plan.steps_per_epoch:.1f}/{plan.total / plan.steps_per_epoch:.4g}",
            f"step {step}/{plan.total}",
            f"left {left}",
        )
        return table

    def _losses(self, progress: Progress) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("loss")
        table.add_column("", justify="right")
        table.add_column("weight", justify="right")
        table.add_column("course")
        for name, value in {"loss": progress.loss, **progress.losses}.items():
            weight = progress.weights.get(name)
            table.add_row(
                "total" if name == "loss" else name,
                f"{value:.4f}",
                "" if weight is None else f"{weight:.3g}",
                sparkline(self._courses.get(name, [])),
            )
        return table

    def _rates(self, progress: Progress) -> Text:
        return Text(
            f"{progress.images_per_second:.0f} images/s   data wait {progress.data_wait:.0%}   "
            f"learning rate {progress.learning_rate:.2e}"
        )

    def _monitor_table(self) -> Table | None:
        rows: dict[str, dict[str, float]] = {}
        for key, value in self._monitors.items():
            name, _, measure = key.rpartition("/")
            if measure in _SHOWN_MONITORS:
                rows.setdefault(name, {})[measure] = value
        if not rows:
            return None
        table = Table(box=None, pad_edge=False)
        table.add_column("representation")
        for measure in _SHOWN_MONITORS:
            table.add_column(measure.replace("_", " "), justify="right")
        for name, values in rows.items():
            table.add_row(name, *(f"{values[m]:.3g}" if m in values else "" for m in _SHOWN_MONITORS))
        return table

    def _evaluation_table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("evaluation")
        table.add_column("now", justify="right")
        table.add_column("course")
        for name, values in self._evaluations.items():
            table.add_row(name, f"{values[-1]:.4g}", sparkline(values))
        return table
