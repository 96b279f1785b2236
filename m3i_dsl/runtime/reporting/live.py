"""The live display: one table that is redrawn in place.

Takes: the plan of a run, then its progress. Gives: a progress bar with epoch, step and time left; a row for each
target with its loss and the course of it; rates; collapse monitors; evaluations so far. Guarantees: remarks and
warnings scroll above the table and are never overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.interfaces import Plan, Progress
from m3i_dsl.runtime.reporting.display import Clock, rates
from m3i_dsl.runtime.reporting.text import duration, sparkline, times
from m3i_dsl.runtime.reporting.waiting import limit_for
from m3i_dsl.vocabulary.kinds import Score

_HISTORY = 4096
"""How many values are kept for a course; older ones are thinned out by half."""

_SHOWN_MONITORS = ("spread", "effective_rank")

_COURSE = "cyan"


class LiveDisplay:
    """Draws on `console` four times a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plan: Plan | None = None
        self._progress: Progress | None = None
        self._left = float("inf")
        self._monitors: dict[str, float] = {}
        self._courses: dict[str, list[float]] = {}
        self._evaluations: dict[str, list[Score]] = {}
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
        assert self._plan is not None, "`start` comes first"
        self._progress = progress
        self._left = self._clock.left(self._plan, progress.step)
        self._monitors |= progress.monitors
        for name, value in {"loss": progress.loss, **progress.losses}.items():
            course = self._courses.setdefault(name, [])
            course.append(value)
            if len(course) > _HISTORY:
                del course[::2]

    def evaluated(self, step: int, results: Mapping[str, Score]) -> None:
        for name, score in results.items():
            self._evaluations.setdefault(name, []).append(score)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def warn(self, notice: Notice) -> None:
        headline, _, rest = notice.text().partition("\n")
        self._console.print(headline, style="bold yellow", markup=False, highlight=False)
        self._console.print(rest, style="yellow", markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()

    def render(self) -> Group:
        """What is drawn now."""
        if self._plan is None:
            return Group()
        parts: list[RenderableType] = [_headline(self._plan), self._bar(self._plan)]
        if self._progress is not None:
            parts += [_rates(self._plan, self._progress), self._losses(self._progress)]
        if shown := self._monitor_table():
            parts.append(shown)
        if self._evaluations:
            parts.append(self._evaluation_table())
        # A blank line between the parts, and one that keeps remarks above apart from the table.
        return Group(*(Padding(part, (1 if place != 1 else 0, 0, 0, 0)) for place, part in enumerate(parts)))

    def _bar(self, plan: Plan) -> Table:
        step = self._progress.step if self._progress else plan.first
        table = Table.grid(padding=(0, 3))
        table.add_row(
            ProgressBar(total=plan.total, completed=step, width=32, complete_style=_COURSE),
            _fact("", f"{step / plan.total:.0%}"),
            _fact("step", f"{step}/{plan.total}"),
            _fact("epoch", f"{step / plan.steps_per_epoch:.1f}/{plan.total / plan.steps_per_epoch:.4g}"),
            _fact("left", duration(self._left)),
        )
        return table

    def _losses(self, progress: Progress) -> Table:
        table = _table()
        table.add_column("loss")
        table.add_column("", justify="right")
        table.add_column("weight" if progress.weights else "", justify="right")
        table.add_column("course", style=_COURSE)
        for name, value in {"loss": progress.loss, **progress.losses}.items():
            weight = progress.weights.get(name)
            table.add_row(
                "total" if name == "loss" else name,
                f"{value:.4f}",
                "" if weight is None else f"{weight:.3g}",
                sparkline(self._courses.get(name, [])),
                style="bold" if name == "loss" else "",
            )
        return table

    def _monitor_table(self) -> Table | None:
        rows: dict[str, dict[str, float]] = {}
        for key, value in self._monitors.items():
            name, _, measure = key.rpartition("/")
            if measure in _SHOWN_MONITORS:
                rows.setdefault(name, {})[measure] = value
        if not rows:
            return None
        table = _table()
        table.add_column("representation")
        for measure in _SHOWN_MONITORS:
            table.add_column(measure.replace("_", " "), justify="right")
        for name, values in rows.items():
            table.add_row(name, *(f"{values[m]:.3g}" if m in values else "" for m in _SHOWN_MONITORS))
        return table

    def _evaluation_table(self) -> Table:
        table = _table()
        table.add_column("evaluation")
        table.add_column("now", justify="right")
        table.add_column("best", justify="right")
        table.add_column("course", style=_COURSE)
        for name, scores in self._evaluations.items():
            values = [score.value for score in scores]
            best = scores[scores[-1].measure.best(values)]
            table.add_row(name, str(scores[-1]), str(best), sparkline(values))
        return table


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")


def _headline(plan: Plan) -> Text:
    devices = plan.device if plan.world == 1 else f"{plan.world} x {plan.device}"
    text = Text.assemble((plan.recipe, "bold"))
    text.append(f"   {plan.total} steps of {plan.batch} on {devices}", style="dim")
    if plan.first:
        text.append(f", from step {plan.first}", style="dim")
    if plan.restarts:
        text.append(f"   restarted {times(plan.restarts)}", style="yellow")
    return text


def _rates(plan: Plan, progress: Progress) -> Text:
    text = Text()
    for name, value in rates(progress):
        waits = name == "data wait" and progress.data_wait > limit_for(plan.device)
        text.append_text(_fact(name, value, style="yellow" if waits else "")).append("   ")
    return text.append_text(_fact("learning rate", f"{progress.learning_rate:.2e}"))


def _fact(name: str, value: str, style: str = "") -> Text:
    """A value with its name in front, a rate with its unit behind."""
    if not name:
        return Text(value, style)
    if name == "images/s":
        return Text.assemble((value, style), (" images/s", "dim"))
    return Text.assemble((f"{name} ", "dim"), (value, style))
