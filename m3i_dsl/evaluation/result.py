"""What a measurement is, and how measurements are shown.

Takes: predictions and labels of a test split. Gives: `Result` (accuracy with its standard error), `Comparison` (a
result beside its baselines), and both as a table and as JSON. Guarantees: differences are paired over the same test
samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from rich.table import Table

TRAINED = "trained"
UNTRAINED = "untrained"
RAW_PIXELS = "raw pixels"
CHANCE = "chance"


@dataclass(frozen=True, eq=False)
class Result:
    """One accuracy.

    `name` is the measurement ("knn"), `subject` what was measured ("trained", "untrained", "raw pixels", "chance").
    `value` is in [0, 1], `standard_error` that of a proportion over `n` test samples; `correct` bool [n] says which
    samples were right, None when nothing was predicted (chance). `details` are settings chosen on the way (the C).
    """

    name: str
    subject: str
    value: float
    standard_error: float
    n: int
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    correct: Tensor | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """value(trained) - value(baseline) with the standard error of the paired difference."""

    value: float
    standard_error: float

    @property
    def clear(self) -> bool:
        """Whether the difference is positive by more than two standard errors."""
        return self.value > 2 * self.standard_error


@dataclass(frozen=True, slots=True)
class Comparison:
    """The trained encoder's result beside its baselines, for one line of the `evaluate` block.

    `evaluator` is that line in canonical text, `knn(k: 20, ...)`.
    """

    evaluator: str
    trained: Result
    baselines: tuple[Result, ...]

    @property
    def best_baseline(self) -> Result:
        return max(self.baselines, key=lambda result: result.value)

    @property
    def beats_baselines(self) -> bool:
        """Whether the trained encoder is above every baseline (by how much, and how surely, is in `difference`)."""
        return self.trained.value > self.best_baseline.value

    def difference(self, baseline: Result) -> Difference:
        """Trained minus `baseline`; paired where both predicted the same samples, else as independent proportions."""
        ours, theirs = self.trained.correct, baseline.correct
        if ours is not None and theirs is not None and len(ours) == len(theirs):
            change = ours.double() - theirs.double()
            error = math.sqrt(float(change.var(correction=0)) / len(change))
        else:
            error = math.hypot(self.trained.standard_error, baseline.standard_error)
        return Difference(self.trained.value - baseline.value, error)


def accuracy(
    name: str, subject: str, predicted: Tensor, labels: Tensor, details: Mapping[str, Any] | None = None
) -> Result:
    """The share of `predicted` [n] that equals `labels` [n], with the standard error of a proportion."""
    correct = (predicted.cpu() == labels.cpu()).detach()
    value = float(correct.double().mean())
    error = math.sqrt(value * (1 - value) / len(correct))
    return Result(name, subject, value, error, len(correct), dict(details or {}), correct)


def percent(result: Result) -> str:
    """`87.3 +- 1.2` in per cent; without an error where there is none."""
    if result.standard_error == 0:
        return f"{100 * result.value:.1f}"
    return f"{100 * result.value:.1f} +- {100 * result.standard_error:.1f}"


def subjects(comparisons: Sequence[Comparison]) -> list[str]:
    """The baselines that occur, in a fixed order."""
    found = {baseline.subject for comparison in comparisons for baseline in comparison.baselines}
    known = [subject for subject in (UNTRAINED, RAW_PIXELS, CHANCE) if subject in found]
    return known + sorted(found - set(known))


def results_table(comparisons: Sequence[Comparison]) -> Table:
    """The results as a rich table: one line for each measurement, the baselines beside it, accuracies in per cent."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title="accuracy, %", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("measurement")
    table.add_column(TRAINED, justify="right")
    columns = subjects(comparisons)
    for column in columns:
        table.add_column(column, justify="right")
    table.add_column("over the best baseline", justify="right")
    for comparison in comparisons:
        by_subject = {baseline.subject: baseline for baseline in comparison.baselines}
        best = comparison.difference(comparison.best_baseline)
        style = "green" if best.clear else ("red" if best.value <= 0 else "yellow")
        table.add_row(
            comparison.trained.name,
            Text(percent(comparison.trained), style="bold"),
            *(percent(by_subject[column]) if column in by_subject else "" for column in columns),
            Text(f"{100 * best.value:+.1f} +- {100 * best.standard_error:.1f}", style=style),
        )
    return table


def results_json(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The results as plain data, accuracies in [0, 1]; the same numbers as the table."""

    def plain(result: Result) -> dict[str, Any]:
        return {
            "value": result.value,
            "standard_error": result.standard_error,
            "n": result.n,
            "details": dict(result.details),
        }

    rows: list[dict[str, Any]] = []
    for comparison in comparisons:
        best = comparison.difference(comparison.best_baseline)
        rows.append(
            {
                "name": comparison.trained.name,
                "evaluator": comparison.evaluator,
                "trained": plain(comparison.trained),
                "baselines": {baseline.subject: plain(baseline) for baseline in comparison.baselines},
                "over_best_baseline": {"value": best.value, "standard_error": best.standard_error},
                "beats_baselines": comparison.beats_baselines,
            }
        )
    return rows
