"""What a measurement says: a number, its unit, and which direction is better.

Takes: numbers of an evaluator. Gives: `Measure`, what a number means; `Score`, one number of a measure; `Result`, one
measurement with its error and parts. Guarantees: whoever shows, records or compares a number asks its measure and
nothing else; no torch at import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Measure:
    """What a number means, such as an accuracy in % of which more is better.

    `name` stands in records and headings (`accuracy`, `AP`, `mIoU`). Numbers of the unit "%" are kept as shares, 0.5
    for 50%; all others are kept in `unit`, which is empty for a pure number.
    """

    name: str
    unit: str = ""
    better: Literal["higher", "lower"] = "higher"

    def in_unit(self, value: float) -> float:
        """The number that stands in front of the unit."""
        return 100 * value if self.unit == "%" else value

    def number(self, value: float) -> str:
        """`87.3` of a share, else four significant digits; the unit is left to the heading."""
        return f"{100 * value:.1f}" if self.unit == "%" else f"{value:.4g}"

    def text(self, value: float) -> str:
        """`87.3%`, `0.512 nats`, `412`."""
        return f"{self.number(value)}{self._behind}"

    def error(self, value: float) -> str:
        """A standard error as a number without unit."""
        return f"{100 * value:.1f}" if self.unit == "%" else f"{value:.2g}"

    def change(self, value: float) -> str:
        """A difference with its sign, as a number without unit."""
        return f"{100 * value:+.1f}" if self.unit == "%" else f"{value:+.4g}"

    def change_text(self, value: float) -> str:
        """`+1.2 points` between shares, else `-0.01 nats`."""
        return f"{self.change(value)}{' points' if self.unit == '%' else self._behind}"

    @property
    def heading(self) -> str:
        """`accuracy, %`; `surprise, nats (lower is better)`: higher is what is expected and not said."""
        named = f"{self.name}, {self.unit}" if self.unit else self.name
        return f"{named} ({self.direction})" if self.better == "lower" else named

    @property
    def direction(self) -> str:
        return f"{self.better} is better"

    def gain(self, change: float) -> float:
        """By how much a number got better that changed by `change`."""
        return change if self.better == "higher" else -change

    def best(self, values: Sequence[float]) -> int:
        """The place of the best of `values`, the first of equals."""
        return max(range(len(values)), key=lambda place: self.gain(values[place]))

    def plain(self) -> dict[str, str]:
        """As records and JSON have it."""
        return {"name": self.name, "unit": self.unit, "better": self.better}

    @property
    def _behind(self) -> str:
        return self.unit if self.unit in ("", "%") else f" {self.unit}"


ACCURACY = Measure("accuracy", "%")
"""The share of test samples that are given their own category."""

LOSS = Measure("loss", better="lower")


def recorded_measure(name: str, record: Mapping[str, Any] | None) -> Measure:
    """The measure of the series `name` (`knn.accuracy`) from what `Measure.plain` gave.

    Runs from before measures were recorded have none: theirs were accuracies by that name, and shares.
    """
    if record is not None:
        better = "lower" if record.get("better") == "lower" else "higher"
        return Measure(str(record["name"]), str(record.get("unit", "")), better)
    measured = name.rpartition(".")[2]
    return ACCURACY if measured == ACCURACY.name else Measure(measured)


@dataclass(frozen=True, slots=True)
class Score:
    """One number and what it means."""

    value: float
    measure: Measure

    def __str__(self) -> str:
        return self.measure.text(self.value)


@dataclass(frozen=True, eq=False)
class Result:
    """One measurement of one subject, on `n` test samples.

    `value` is a number of `measure`, `standard_error` its uncertainty over the choice of test samples: 0 for a number
    that does not depend on them, None where it is not known. `samples` [n] has a number for each test sample whose mean
    is `value`, where there is such a thing: differences between subjects are then paired. `parts` are further numbers
    by name, which are recorded beside `value` (`AP50`); `by_category` is `value` for each category alone. `details` are
    what was chosen on the way (the C of a probe), as plain data; `note` is what of it a reader wants to know.
    """

    measure: Measure
    value: float
    n: int
    standard_error: float | None = None
    samples: Tensor | None = field(default=None, repr=False)
    parts: Mapping[str, Score] = field(default_factory=dict[str, Score])
    by_category: Mapping[str, float] = field(default_factory=dict[str, float])
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    note: str = ""

    def scores(self) -> dict[str, Score]:
        """The numbers that a record keeps, by name: `accuracy`, then the parts."""
        return {self.measure.name: Score(self.value, self.measure), **self.parts}
