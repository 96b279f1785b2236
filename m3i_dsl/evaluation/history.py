"""The record of a run as panels.

Takes: the events of `metrics.jsonl`. Gives: the curves of the report: losses, measurements, speed, monitors, and the
warnings. Guarantees: what is damaged is left out and said among the warnings, a null is a gap; nothing is smoothed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from m3i_dsl.evaluation.charts import Curve, Panel
from m3i_dsl.runtime.reporting.events import Event, Events
from m3i_dsl.vocabulary.kinds import Measure, recorded_measure


@dataclass(slots=True)
class _Series:
    x: list[float] = field(default_factory=list[float])
    y: list[float] = field(default_factory=list[float])

    def add(self, x: float, y: float | None) -> None:
        self.x.append(x)
        self.y.append(math.nan if y is None else float(y))


@dataclass(frozen=True, eq=False)
class History:
    """What happened in a run. Series are by name: target, `measurement.measure`, `representation/monitor`."""

    losses: Mapping[str, _Series]
    results: Mapping[str, _Series]
    measures: Mapping[str, Measure]
    monitors: Mapping[str, _Series]
    learned: Mapping[str, _Series]
    images_per_second: _Series
    data_wait: _Series
    warnings: tuple[str, ...]

    @property
    def mean_speed(self) -> float:
        """Images/s, the median over the run; 0 without a record."""
        speeds = sorted(value for value in self.images_per_second.y if math.isfinite(value))
        return speeds[len(speeds) // 2] if speeds else 0.0

    def target_panels(self) -> tuple[Panel, ...]:
        return tuple(Panel(name, "loss", (_curve(name, series),)) for name, series in self.losses.items())

    def progress_panels(self, reference: Mapping[str, tuple[float, str]]) -> tuple[Panel, ...]:
        """What was measured while training went on, in the units of the measures.

        `reference` are numbers to compare with, as (value, words) by the name of the series.
        """
        panels: list[Panel] = []
        for name, series in self.results.items():
            if len(series.x) < 2:
                continue
            measure = self.measures[name]
            curve = Curve(name, series.x, [measure.in_unit(value) for value in series.y])
            lines = [reference[name]] if name in reference else []
            panels.append(
                Panel(
                    name.replace(".", " "),
                    f"{measure.unit}, {measure.direction}".removeprefix(", ")
                    if measure.better == "lower"
                    else measure.unit,
                    (curve,),
                    reference=tuple((measure.in_unit(value), words) for value, words in lines),
                )
            )
        return tuple(panels)

    def speed_panels(self) -> tuple[Panel, ...]:
        if not self.images_per_second.x:
            return ()
        wait = Curve("data wait", self.data_wait.x, [100 * value for value in self.data_wait.y])
        return (
            Panel("throughput", "images/s", (_curve("images/s", self.images_per_second),), include=(0.0,)),
            Panel("data wait", "% of the time", (wait,), include=(0.0, 10.0)),
        )

    def learned_panels(self) -> tuple[Panel, ...]:
        """Temperatures and likelihood scales, one panel each: their units differ."""
        return tuple(
            Panel(name.replace("_", " "), "learned", (_curve(name, series),)) for name, series in self.learned.items()
        )

    def monitor_panels(self) -> tuple[Panel, ...]:
        """One panel for each measure that says most about collapse, one curve for each representation."""
        shown = {
            "spread": ("spread", "0 is collapse, 1 independent", (0.0,)),
            "effective_rank": ("effective rank", "dimensions in use", (0.0,)),
            "alignment": ("alignment", "distance to the target", (0.0,)),
            "uniformity": ("uniformity", "0 is collapse", (0.0,)),
        }
        parts = {name.rpartition("/")[0] for name in self.monitors}
        owners = sorted({part.partition("/")[0] for part in parts}, key=lambda owner: (owner.count("."), owner))
        panels: list[Panel] = []
        for measure, (title, unit, include) in shown.items():
            curves: list[Curve] = []
            for name, series in self.monitors.items():
                part, _, own = name.rpartition("/")
                owner, _, role = part.partition("/")
                if own == measure:
                    dashed = role.startswith("prediction")
                    curves.append(Curve(owner, series.x, series.y, colour=owners.index(owner), dashed=dashed))
            if curves:
                panels.append(Panel(title, unit, tuple(curves), include=include))
        return tuple(panels)


def read_history(path: Path) -> History:
    """The record in `metrics.jsonl`; an empty one when there is no such file."""
    events = Events(path)
    read = history(events.all)
    return read if events.damage is None else replace(read, warnings=(*read.warnings, events.damage.message))


def history(records: Iterable[Event]) -> History:
    """From the records as `runtime/reporting/metrics.py` writes them."""
    losses: dict[str, _Series] = {}
    results: dict[str, _Series] = {}
    measures: dict[str, Measure] = {}
    monitors: dict[str, _Series] = {}
    learned: dict[str, _Series] = {}
    speed, wait = _Series(), _Series()
    warnings: dict[str, None] = {}
    for record in records:
        step = record["step"]
        match record["event"]:
            case "step":
                of = (
                    (record.get("losses"), losses),
                    (record.get("monitors"), monitors),
                    (record.get("learned"), learned),
                )
                for target, series in of:
                    for name, value in (target or {}).items():
                        series.setdefault(name, _Series()).add(step, value)
                speed.add(step, record.get("images_per_second"))
                wait.add(step, record.get("data_wait"))
            case "evaluation":
                said = record.get("measures") or {}
                for name, value in record["results"].items():
                    measures[name] = recorded_measure(name, said.get(name))
                    results.setdefault(name, _Series()).add(step, value)
            case "warning":
                warnings[f"step {step}: {record['message']}"] = None
            case _:
                pass  # a later version may record more
    return History(losses, results, measures, monitors, learned, speed, wait, tuple(warnings))


def _curve(name: str, series: _Series) -> Curve:
    return Curve(name, series.x, series.y)
