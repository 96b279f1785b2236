"""The step of one rank, as `m3ic train` makes it.

Takes: an executable, the whole batch and the processes. Gives: `Member`; one call is one step on the rank's own rows,
the same each time. Guarantees: wrapping, guard, vote of hosts and watchdog are those of the trainer, in its order; what
does not exchange gradients, or nothing at all, is the same step but for that.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Literal

from torch import Tensor

from benchmarks.speed.compiled import STEPS
from m3i_dsl.collectives import World, alone, own, world
from m3i_dsl.lower.executable import Executable
from m3i_dsl.runtime.distributed.agreement import Vote
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.watchdog import Watchdog
from m3i_dsl.runtime.distributed.wrapping import Parallel, Sharding, parallel
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.runtime.guard import Guard
from m3i_dsl.runtime.precision import precision_for
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.runtime.schedule import LearningRate
from m3i_dsl.runtime.step import StepOutput, TrainingStep, can_skip
from m3i_dsl.vocabulary.values import steps_of

Exchange = Literal["all", "all but gradients", "nothing"]

PATIENCE = 600.0
"""Seconds of the watchdog, those of `m3ic train`."""


class Member:
    """One rank of a training. `exchange` "nothing": the step of a process that knows of no other."""

    def __init__(
        self,
        executable: Executable,
        batch: Mapping[str, Tensor],
        processes: Processes,
        exchange: Exchange = "all",
        sharding: Sharding = "none",
    ) -> None:
        executable = copied(executable)
        training, device = executable.program.training, processes.device
        self.executable = executable
        self.module = executable.module.to(device).train()
        self.batch = {name: value.to(device) for name, value in batch.items()}
        self.precision = precision_for(training.precision, device)
        self._known = processes if exchange == "all" else Processes(device)
        if exchange == "all":
            low = device.type == "cuda" and self.precision.effective == "bf16"
            self.parallel = parallel(self.module, executable.averages, processes, sharding, low_precision=low)
        else:
            self.parallel = Parallel(self.module, self.module, self._known, "none")
        self.optimizer = training.optimizer.word.build(self.module, training.batch)
        shared = exchange != "nothing" and processes.size > 1
        deferred = device.type == "cuda" and can_skip(self.optimizer)
        self.guard = Guard(self.module, device, deferred=deferred, shared=shared)
        self.vote, self.watchdog = Vote(self._known), Watchdog(self._known, PATIENCE)
        self._context = alone if exchange == "nothing" else nullcontext
        duration = partial(steps_of, steps_per_epoch=STEPS, batch=training.batch, total=STEPS)
        self._step = TrainingStep(
            self.parallel,
            self.optimizer,
            MovingAverages(executable.averages, STEPS, duration),
            LearningRate(0, STEPS, training.schedule.word),
            self.guard,
            self.precision,
            scalars=Scalars(self.module, STEPS, duration),
            clip=training.clip,
            decay=training.optimizer.word.decay_ramp(),
            microbatches=1,
        )
        self.done = 0
        self.asking = 0.0
        """Seconds in which hosts have asked each other and waited for the answer."""
        self.processor: list[float] = []
        """Seconds of all threads of this rank, of each step: other load on the machine disturbs them least."""

    def __call__(self) -> Tensor:
        """The loss before the step, of this rank; the order is that of `Trainer._train`."""
        self.watchdog.at(f"computing step {self.done + 1}")
        used = time.process_time()
        begun = time.perf_counter()
        self.vote.ask(0)
        asked = time.perf_counter()
        output = self.bare()
        self.watchdog.stepped(f"at the boundary after step {self.done}")
        answered = time.perf_counter()
        self.vote.answer(0)
        self.asking += time.perf_counter() - answered + asked - begun
        self.watchdog.at(f"reading the batch of step {self.done + 1}")
        self.processor.append(time.process_time() - used)
        return output.loss

    def bare(self) -> StepOutput:
        """The step without the vote and the watchdog."""
        with self._context():
            output = self._step(self.done, self.batch)
        self.done += 1
        return output


def copied(executable: Executable) -> Executable:
    """Another one with the same weights."""
    module, averages = copy.deepcopy((executable.module, executable.averages))
    return replace(executable, module=module, averages=averages)


def rows(batch: Mapping[str, Tensor], here: World | None = None) -> dict[str, Tensor]:
    """Those of a global batch that this rank has."""
    here = world() if here is None else here
    return {name: own(value, here) for name, value in batch.items()}
