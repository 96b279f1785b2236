"""What processes send each other in a step: one record for each collective.

Takes: nothing. Gives: `Exchange`, and sums of them. Guarantees: bytes are those that one process receives by the ring
algorithms, which are what every lower bound is made of: a part (W - 1) / W of what W processes gather or scatter, twice
that for what they reduce and all get.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from m3i_dsl import collectives
from m3i_dsl.collectives import Operation

Purpose = Literal["parameters", "gradients", collectives.Purpose]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


@dataclass(frozen=True, slots=True)
class Exchange:
    """`size` bytes: what all of `ranks` processes have together, before a scatter or after a gather, or what each of
    them has, before and after a sum. `across`: between machines only, `ranks` of which hold the same shard.
    """

    operation: Operation
    purpose: Purpose
    size: int
    ranks: int
    across: bool = False

    @property
    def received(self) -> float:
        """Bytes."""
        return (2 if self.operation == "all-reduce" else 1) * self.size * (self.ranks - 1) / self.ranks


@dataclass(frozen=True, slots=True)
class Sum:
    """Collectives of a step, and the bytes that a process receives in them."""

    count: int = 0
    received: float = 0.0


def summed(exchanges: Iterable[Exchange]) -> dict[tuple[Purpose, Operation], Sum]:
    """By purpose and operation, in this order, those that there are."""
    found: dict[tuple[Purpose, Operation], Sum] = {}
    for exchange in exchanges:
        key = exchange.purpose, exchange.operation
        before = found.get(key, Sum())
        found[key] = Sum(before.count + 1, before.received + exchange.received)
    return {(p, o): found[p, o] for p in PURPOSES for o in OPERATIONS if (p, o) in found}
