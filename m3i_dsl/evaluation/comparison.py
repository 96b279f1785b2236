"""Results beside their baselines, and how they are shown.

Takes: results of one evaluator. Gives: `Comparison`, the trained encoder's result beside those of its baselines, and
comparisons as a table and as JSON. Guarantees: which direction is better, the unit and the number of digits are those
of the measure; differences are paired over the same test samples where the evaluator has a number for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from m3i_dsl.source.printable import one_line
from m3i_dsl.vocabulary.kinds import CHANCE, RAW_PIXELS, TRAINED, UNTRAINED, Measure, Result

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


@dataclass(frozen=True, slots=True)
class Difference:
    """value(trained) - value(baseline) with the standard error of the difference, None where it is not known."""

    measure: Measure
    value: float
    standard_error: float | None

    @property
    def gain(self) -> float:
        """By how much the trained encoder is better; negative where it is worse."""
        return self.measure.gain(self.value)

    @property
    def clear(self) -> bool:
        """Whether the trained encoder is better by more than two standard errors; never where they are not known."""
        return self.standard_error is not None and self.gain > 2 * self.standard_error


@dataclass(frozen=True, slots=True)
class Comparison:
    """The trained encoder's result beside its baselines, for one line of the `evaluate` block.

    `name` is the evaluator's, `evaluator` that line in canonical text, `knn(k: 20, ...)`; `baselines` are the
    results of other subjects by their names, which may be none.
    """

    name: str
    evaluator: str
    trained: Result
    baselines: Mapping[str, Result]

    @property
    def measure(self) -> Measure:
        return self.trained.measure

    @property
    def best_baseline(self) -> Result | None:
        results = list(self.baselines.values())
        return results[self.measure.best([result.value for result in results])] if results else None

    @property
    def over_best_baseline(self) -> Difference | None:
        """None without baselines."""
        best = self.best_baseline
        return None if best is None else self.difference(best)

    @property
    def beats_baselines(self) -> bool:
        """Whether the trained encoder is better than every baseline; how surely is in `over_best_baseline`."""
        difference = self.over_best_baseline
        return difference is None or difference.gain > 0

    def difference(self, baseline: Result) -> Difference:
        """Trained minus `baseline`; paired where both have a number for each test sample, else as independent."""
        ours, theirs = self.trained.samples, baseline.samples
        error = None
        if ours is not None and theirs is not None and len(ours) == len(theirs):
            change = ours.double() - theirs.double()
            error = math.sqrt(float(change.var(correction=0)) / len(change))
        elif self.trained.standard_error is not None and baseline.standard_error is not None:
            error = math.hypot(self.trained.standard_error, baseline.standard_error)
        return Difference(self.measure, self.trained.value - baseline.value, error)


def result_text(result: Result) -> str:
    """`87.3 +- 1.2`, in the unit of its measure; without an error where there is none."""
    number = result.measure.number(result.value)
    return f"{number} +- {result.measure.error(result.standard_error)}" if result.standard_error else number


def difference_text(difference: Difference) -> str:
    """`+3.1 +- 0.8`."""
    change = difference.measure.change(difference.value)
    if difference.standard_error is None:
        return change
    return f"{change} +- {difference.measure.error(difference.standard_error)}"


def subjects(comparisons: Sequence[Comparison]) -> list[str]:
    """The baselines that occur, in a fixed order."""
    found = {name for comparison in comparisons for name in comparison.baselines}
    known = [subject for subject in (UNTRAINED, RAW_PIXELS, CHANCE) if subject in found]
    return known + sorted(found - set(known))


def results_table(comparisons: Sequence[Comparison]) -> Table:
    """The results as a rich table: one line for each measurement and each of its parts, the baselines beside it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("measurement")
    table.add_column("measure")
    table.add_column(TRAINED, justify="right")
    columns = subjects(comparisons)
    for column in columns:
        table.add_column(column, justify="right")
    table.add_column("over the best baseline", justify="right")
    for comparison in comparisons:
        baselines = comparison.baselines
        best = comparison.over_best_baseline
        table.add_row(
            _named(comparison),
            comparison.measure.heading,
            Text(result_text(comparison.trained), style="bold"),
            *(result_text(baselines[column]) if column in baselines else "" for column in columns),
            "" if best is None else Text(difference_text(best), style=_style(best)),
        )
        for name, score in comparison.trained.parts.items():
            beside = (baselines[column].parts.get(name) if column in baselines else None for column in columns)
            table.add_row(
                "",
                score.measure.heading if name == score.measure.name else f"{name}: {score.measure.heading}",
                score.measure.number(score.value),
                *("" if other is None else other.measure.number(other.value) for other in beside),
                "",
            )
    return table


def _named(comparison: Comparison) -> Text:
    """What was measured, and below it what a reader wants to know of how."""
    from rich.text import Text

    note = comparison.trained.note
    return Text.assemble(comparison.name, (f"\n{one_line(note)}" if note else "", "dim"))


def _style(difference: Difference) -> str:
    return "green" if difference.clear else ("red" if difference.gain <= 0 else "yellow")


def results_json(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The results as plain data; the same numbers as the table, shares in [0, 1]."""
    rows: list[dict[str, Any]] = []
    for comparison in comparisons:
        best = comparison.over_best_baseline
        rows.append(
            {
                "name": comparison.name,
                "evaluator": comparison.evaluator,
                "measure": comparison.measure.plain(),
                "trained": result_json(comparison.trained),
                "baselines": {name: result_json(result) for name, result in comparison.baselines.items()},
                "over_best_baseline": None
                if best is None
                else {"value": best.value, "standard_error": best.standard_error},
                "beats_baselines": comparison.beats_baselines,
            }
        )
    return rows


def result_json(result: Result) -> dict[str, Any]:
    """One result as plain data, without its measure."""
    return {
        "value": result.value,
        "standard_error": result.standard_error,
        "n": result.n,
        "parts": {
            name: {"value": score.value, "measure": score.measure.plain()} for name, score in result.parts.items()
        },
        "by_category": dict(result.by_category),
        "details": dict(result.details),
        "note": result.note,
    }
