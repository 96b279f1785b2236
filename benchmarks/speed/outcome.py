"""What a case found.

Takes: nothing. Gives: the rows of the tables and the targets with whether they were met. Guarantees: a ratio is always
of least times; a target that was not measured is said to be so, not counted as met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.speed.timing import Timed


@dataclass(frozen=True, slots=True)
class Target:
    """A number that the project holds itself to. `value` None: not measured, and `note` says why."""

    text: str
    limit: float
    sense: Literal["at least", "at most"]
    value: float | None
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.limit if self.sense == "at least" else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Outcome:
    """The times of a case's sides. `subject` is ours; `extra` are further columns by side (parameters, memory)."""

    name: str
    subject: str
    times: Mapping[str, Timed]
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()

    def faster(self, than: str) -> float:
        """How many times as long `than` takes as the subject."""
        return self.times[than].minimum / self.times[self.subject].minimum
