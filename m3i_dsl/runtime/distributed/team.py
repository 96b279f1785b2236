"""The processes of a run as a team that measures.

Takes: the processes, and from the loop whether a signal has come and who watches over time. Gives: a `Team`.
Guarantees: before anything is exchanged all say whether they go on, so that one that was stopped or has failed ends the
measurement of all, wherever the others are, and is told once; a process that hangs is seen after the time that a step
has, where all measure together, and one that is gone ends the others at their next meeting.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.distributed.agreement import Elsewhere, headline
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.watchdog import Watchdog
from m3i_dsl.runtime.faults import OTHER_RANK, Notice, TrainingFault
from m3i_dsl.runtime.signals import Interrupted, StopRequest

T = TypeVar("T")

GO_ON, STOPPED, FAILED = 0, 1, 2

_LISTENING: tuple[Any, bool] = (None, False)
"""What is sent by those that are led."""


class ProcessTeam:
    """The team of `processes`. `lockstep` is that of a sharded module; `warn` is given what a person should know."""

    def __init__(self, processes: Processes, *, lockstep: bool = False) -> None:
        self._processes = processes
        self.lockstep = lockstep and processes.size > 1
        self.warn: Callable[[Notice], object] = _nothing
        self._stop: StopRequest | None = None
        self._watchdog: Watchdog | None = None
        self._agreed = False
        self._within = ""

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self._processes.device

    @property
    def rank(self) -> int:
        return self._processes.rank

    @property
    def size(self) -> int:
        return self._processes.size

    def measured(self, action: Callable[[], T], stop: StopRequest, watchdog: Watchdog) -> T | None:
        """What `action` gives, which all call at once; None when a signal came to one of them.

        Raises its own fault, and Elsewhere for one of another process.
        """
        self._stop, self._watchdog, self._agreed = stop, watchdog, False
        self._within = watchdog.where
        try:
            with stop.interrupting():
                found = action()
            self._meet(GO_ON)
            return found
        except Interrupted:
            if not self._agreed:
                with suppress(Interrupted):
                    self._meet(STOPPED)
            return None
        except (RecipeError, TrainingFault, OSError) as problem:
            if not self._agreed:
                self._meet(FAILED, problem)
            raise
        finally:
            self._stop = self._watchdog = None

    def round(self, where: str) -> None:
        """All have come so far, and have as long as a step has to come to the next round."""
        if self._watchdog is not None:
            self._watchdog.stepped(f"{self._within}: {where}")
        with self._held():
            self._meet(GO_ON)

    def gathered(self, value: T) -> list[T]:
        if self._processes.control is None:
            return [value]
        found: list[Any] = [None] * self.size
        with self._held():
            self._meet(GO_ON)
            dist.all_gather_object(found, value, group=self._processes.control)
        return found

    def total(self, part: Tensor) -> Tensor:
        if self._processes.control is None:
            return part
        found = part.cpu().clone()
        with self._held():
            self._meet(GO_ON)
            dist.all_reduce(found, group=self._processes.control)
        return found.to(part.device)

    def led(self, action: Callable[[], T], serve: Callable[[Any], object]) -> T:
        if self.size == 1:
            return action()
        with nullcontext() if self._watchdog is None else self._watchdog.long(self._watchdog.where):
            if self.rank == 0:
                self.gathered((found := action(), True))
                return found
            while True:
                given, done = self.gathered(_LISTENING)[0]
                if done:
                    return given
                serve(given)

    def ask(self, request: object) -> None:
        self.gathered((request, False))

    def _meet(self, verdict: int, problem: Exception | None = None) -> None:
        """All say how it is with them. Raises Interrupted when one was stopped, Elsewhere when one has failed."""
        control = self._processes.control
        if control is None:
            return
        worst = torch.tensor([verdict], dtype=torch.int64)
        dist.all_reduce(worst, dist.ReduceOp.MAX, group=control)
        if int(worst) == GO_ON:
            return
        self._agreed = True
        if int(worst) == FAILED:
            self._fail(problem)
        raise Interrupted

    def _fail(self, problem: Exception | None) -> NoReturn:
        """The lowest rank that failed raises its own fault, which it tells; all others that it did."""
        told: list[str | None] = [None] * self.size
        dist.all_gather_object(told, None if problem is None else headline(problem), group=self._processes.control)
        rank = next(rank for rank, message in enumerate(told) if message is not None)
        if rank == self.rank and problem is not None:
            raise problem
        raise Elsewhere(OTHER_RANK, f"rank {rank} cannot go on: {told[rank]}")

    def _held(self) -> Any:
        """An exchange is not interrupted: the others would be left in it."""
        return nullcontext() if self._stop is None else self._stop.held()


def _nothing(_: Notice) -> None:
    return
