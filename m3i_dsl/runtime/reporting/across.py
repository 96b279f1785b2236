"""Numbers and messages of all ranks, brought together when something is logged.

Takes: what one rank has measured and has to say. Gives: the numbers of every rank, and the messages with the rank that
sent each. Guarantees: hosts exchange over the control group, so no device is waited for; once a log; with one process
nothing is exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from m3i_dsl.runtime.distributed.agreement import gathered
from m3i_dsl.runtime.distributed.group import Processes


@dataclass(frozen=True, slots=True)
class Gathered:
    """`values[name]` has one number a rank, in rank order; `messages` are (rank, text) in rank order."""

    values: Mapping[str, Sequence[float]]
    messages: Sequence[tuple[int, str]]

    def mean(self, name: str) -> float:
        return sum(self.values[name]) / len(self.values[name])

    def largest(self, name: str) -> float:
        return max(self.values[name])

    def rank_of_largest(self, name: str) -> int:
        numbers = self.values[name]
        return max(range(len(numbers)), key=lambda rank: numbers[rank])


def brought_together(own: Mapping[str, float], messages: Sequence[str], processes: Processes) -> Gathered:
    """Every rank calls this with the same names; order does not matter."""
    rows = gathered(processes, (dict(own), tuple(messages)))
    values = {name: [numbers[name] for numbers, _ in rows] for name in own}
    return Gathered(values, [(rank, text) for rank, (_, texts) in enumerate(rows) for text in texts])
