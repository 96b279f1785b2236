"""What all processes must decide alike.

Takes: what each process has found. Gives: one verdict, the same on all. Guarantees: when one process cannot go on, all
end with a fault, and the one that knows why says it; none waits for a process that has given up. Hosts agree over
the control group, so that no device is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.faults import OTHER_RANK, TrainingFault

T = TypeVar("T")


class Elsewhere(TrainingFault):
    """Another process cannot go on; it says why itself."""


def together(processes: Processes, action: Callable[[], T]) -> T:
    """Every process acts; if one raises RecipeError, TrainingFault or OSError, all raise.

    The lowest rank that failed raises its own fault, all others Elsewhere (M3I0731): it is told once.
    """
    if processes.control is None:
        return action()
    result: Any = None
    fault: Exception | None = None
    try:
        result = action()
    except (RecipeError, TrainingFault, OSError) as problem:
        fault = problem
    failed: list[str | None] = [None] * processes.size
    dist.all_gather_object(failed, None if fault is None else headline(fault), group=processes.control)
    for rank, message in enumerate(failed):
        if message is not None and rank == processes.rank and fault is not None:
            raise fault
        if message is not None:
            raise Elsewhere(OTHER_RANK, f"rank {rank} cannot go on: {message}")
    return result


def by_first(processes: Processes, action: Callable[[], T]) -> T:
    """Rank 0 acts and all are given its result; if it raises, all raise. Raises as `together`."""
    if processes.control is None:
        return action()
    told: list[Any] = [None]

    def act() -> None:
        if processes.first:
            told[0] = action()

    together(processes, act)
    dist.broadcast_object_list(told, src=0, group=processes.control)
    return told[0]


def gathered(processes: Processes, value: T) -> list[T]:
    """The value of every rank, in their order."""
    if processes.control is None:
        return [value]
    found: list[Any] = [None] * processes.size
    dist.all_gather_object(found, value, group=processes.control)
    return found


class Vote:
    """The largest wish of all processes, a number whose meaning is the asker's; 0 is none.

    `ask` before a step and `answer` after it: hosts exchange the wishes while the devices compute.
    """

    def __init__(self, processes: Processes) -> None:
        self._control = processes.control
        self._asked: tuple[Any, torch.Tensor] | None = None

    def ask(self, wish: int) -> None:
        if self._control is not None:
            mine = torch.tensor([wish], dtype=torch.int64)
            self._asked = (dist.all_reduce(mine, dist.ReduceOp.MAX, group=self._control, async_op=True), mine)

    def answer(self, wish: int) -> int:
        """The verdict on what was asked. In one process it is the wish of this moment."""
        if self._asked is None:
            return wish
        (work, answer), self._asked = self._asked, None
        work.wait()
        return int(answer)

    def now(self, wish: int) -> int:
        """The verdict of this moment: waits for all processes."""
        self.ask(wish)
        return self.answer(wish)


def headline(fault: Exception) -> str:
    """What another process says of a fault that is not its own."""
    if isinstance(fault, RecipeError):
        return fault.diagnostics[0].message
    return fault.message if isinstance(fault, TrainingFault) else str(fault)
