"""A world that is not there, and what its processes would send each other.

Takes: a number of processes. Gives: a `Record` of each collective of `m3i_dsl.collectives` that is called inside, in
forward and backward passes, as rank 0 calls it. Guarantees: nothing is sent and no process group is needed; results
have the shape that they would have, and no content: it is for tensors that have none themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from m3i_dsl.collectives.world import pretended

Operation = Literal["all-gather", "reduce-scatter", "all-reduce"]
Purpose = Literal["candidates", "statistics"]
"""Rows that losses choose among, or numbers about the global batch."""

Watcher = Callable[[Tensor, Purpose], None]
"""Is told of the tensor that a collective fills, scatters or sums, before it does."""


@dataclass(frozen=True, slots=True)
class Sent:
    """`size` bytes: what all processes have together, after a gather or before a scatter, or what each of them sums."""

    operation: Operation
    purpose: Purpose
    size: int
    caller: str
    """Who called, as `Record.caller` says; "" for nobody of whom it is known."""


@dataclass(slots=True)
class Record:
    """`caller` is written by who knows which part of a step runs."""

    sent: list[Sent] = field(default_factory=list[Sent])
    caller: str = ""


_record: Record | None = None
_watcher: Watcher | None = None


@contextmanager
def recorded(size: int) -> Generator[Record]:
    """What runs inside is told that it is rank 0 of `size` processes. The inner one of two records, `alone` neither."""
    global _record
    before, _record = _record, Record()
    try:
        with pretended(size):
            yield _record
    finally:
        _record = before


@contextmanager
def watched(watcher: Watcher) -> Generator[None]:
    """Collectives that are really sent say first what for."""
    global _watcher
    before, _watcher = _watcher, watcher
    try:
        yield
    finally:
        _watcher = before


def only_recorded(operation: Operation, whole: Tensor, purpose: Purpose) -> bool:
    """Called before each collective, of which `whole` is the larger tensor. True when it is not to be sent."""
    if _record is not None:
        _record.sent.append(Sent(operation, purpose, whole.nbytes, _record.caller))
        return True
    if whole.is_meta:
        return True
    if _watcher is not None:
        _watcher(whole, purpose)
    return False
