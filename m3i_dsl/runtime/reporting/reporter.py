"""One report for all ranks: the display, the record, and other tools.

Takes: what happens in a run, on every rank. Gives: losses as means over the ranks, rates of the whole, the memory and
data wait of the rank that has most of it, on the display of rank 0 and in its record. Guarantees: other ranks show and
write nothing, but their warnings reach the user with the rank named; ranks exchange numbers only when a step is logged,
between hosts; what the run's end was is recorded whatever ends it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import torch

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.faults import Notice, TrainingFault
from m3i_dsl.runtime.interfaces import Display, Plan, Progress
from m3i_dsl.runtime.reporting.across import Gathered, brought_together
from m3i_dsl.runtime.reporting.display import Silent, display_for
from m3i_dsl.runtime.reporting.forwarding import forwarded_warnings
from m3i_dsl.runtime.reporting.metrics import MetricsLog, recorded_scores, scalars
from m3i_dsl.runtime.reporting.resources import Memory, memory_of, name_of
from m3i_dsl.runtime.reporting.settings import Reporting
from m3i_dsl.runtime.reporting.sinks.fan import Fan, chosen
from m3i_dsl.runtime.reporting.sinks.model import Description, Status
from m3i_dsl.runtime.reporting.throughput import Throughput
from m3i_dsl.runtime.reporting.waiting import DataWaitMonitor, limit_for
from m3i_dsl.runtime.run_folder import RunFolder
from m3i_dsl.source.printable import printable
from m3i_dsl.vocabulary.kinds import Score


@dataclass(frozen=True, slots=True)
class Measured:
    """A logged step on one rank. `values` are those of `StepOutput.scalars`, weights under the names of targets.

    `checkpoint_stall`: the seconds that steps have waited for checkpoints since training began.
    """

    step: int
    values: Mapping[str, float]
    learning_rate: float
    momenta: Sequence[float]
    broken_samples: int
    monitors: Mapping[str, float] = field(default_factory=dict[str, float])
    learned: Mapping[str, float] = field(default_factory=dict[str, float])
    notices: Sequence[Notice] = ()
    checkpoint_stall: float = 0.0


class Reporter(AbstractContextManager["Reporter"]):
    """Use it as a context from the first step to the end of the run. `display` is rank 0's; None chooses one."""

    def __init__(
        self,
        run: RunFolder,
        settings: Reporting,
        processes: Processes,
        device: torch.device,
        batch: int,
        display: Display | None = None,
    ) -> None:
        self._run, self._settings, self._processes, self._device = run, settings, processes, device
        self._speaks = processes.first
        self._display: Display = Silent()
        if self._speaks:
            self._display = display_for(seconds=settings.seconds) if display is None else display
        self._log: MetricsLog | None = None
        self._fan: Fan | None = None
        self._plan: Plan | None = None
        self._said: list[str] = []
        self._relayed: set[str] = set()
        self._context = ExitStack()
        self._ended: tuple[Status, str] | None = None
        self._step = 0
        self._began = time.monotonic()
        self._waiting = DataWaitMonitor(settings.workers, limit_for(name_of(device)))
        self.throughput = Throughput(batch)

    # --- beginning and end --------------------------------------------------------------------------------------------

    def start(self, plan: Plan, *, keep: int, configuration: Mapping[str, Any]) -> None:
        """Opens display and record, which goes on after byte `keep`. Raises TrainingFault (M3I0706, M3I0741)."""
        self._plan, self._step = plan, plan.first
        self._began = time.monotonic()
        if not self._speaks:
            self._context.enter_context(forwarded_warnings(self.say_here))
            return
        restarted = self._processes.restart > 0
        described = Description(self._run.path, plan.recipe, plan.first, configuration)
        # Before the live display: wandb may ask who is there.
        self._fan = Fan(chosen(self._settings.sinks), described, lenient=restarted)
        self._log = MetricsLog(self._run.metrics, keep=keep)
        self._display.start(plan)
        self._write(
            "start",
            plan.first,
            total=plan.total,
            batch=plan.batch,
            world_size=plan.world,
            restarts=plan.restarts,
            device=plan.device,
        )
        for notice in self._fan.notices():
            self.warn(notice)

    def end(self, step: int, status: Status, reason: str) -> None:
        """How the run ended, for its last line; without a call, it is whatever exception leaves the context."""
        self._step = step
        self._ended = status, reason

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.close()
        if self._log is None:
            self._display.close()
            if self._fan is not None:  # the record could not be opened
                self._fan.finish("failed")
            return
        status, reason = self._ended or ("failed", "it ended without a word")
        if error is not None:
            status, reason = ("stopped", "KeyboardInterrupt") if kind is KeyboardInterrupt else ("failed", _why(error))
        # The disk may be what ended the run: that fault must not be hidden by another of the same kind.
        with suppress(TrainingFault) if error is not None else nullcontext():
            self._write("stop", self._step, status=status, reason=reason)
        self._display.close()
        self._log.__exit__(kind, error, trace)
        if self._fan is not None:
            for notice in self._fan.finish(status):
                self._display.warn(notice)

    # --- while it runs ------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """A remark that holds for all ranks."""
        self._display.say(printable(text))

    def say_here(self, text: str) -> None:
        """A remark about this rank only: shown at once, or by rank 0 when the next step is logged."""
        if self._speaks:
            self.say(text)
        else:
            self._said.append(json.dumps({"text": text}))

    def warn(self, notice: Notice) -> None:
        """A warning that holds for all ranks, or for rank 0."""
        self._display.warn(notice)
        if self._log is not None:
            self._write("warning", self._step, code=notice.code, message=notice.message, rank=0)

    def warn_here(self, notice: Notice) -> None:
        """A warning of this rank only."""
        if self._speaks:
            self.warn(notice)
        else:
            self._said.append(json.dumps({"notice": [notice.code, notice.message, notice.notes, notice.helps]}))

    def step(self, own: Measured) -> None:
        """Brings the ranks' numbers together: all call it, for the same steps. Raises TrainingFault (M3I0706)."""
        self._step = own.step
        seconds = self.throughput.elapsed
        images_per_second, data_wait = self.throughput.read()
        memory = memory_of(self._device)
        everywhere = brought_together(
            {
                **own.values,
                "data_wait": data_wait,
                "stall": own.checkpoint_stall / max(time.monotonic() - self._began, 1e-9),
                "broken": own.broken_samples,
                "host": memory.host,
                "device": memory.device_peak or 0,
            },
            self._said,
            self._processes,
        )
        self._said = []
        if self._log is None or self._plan is None:
            return
        values = {name: everywhere.mean(name) for name in own.values}
        largest = _largest(memory, everywhere)
        arithmetic = self._settings.arithmetic
        progress = Progress(
            step=own.step,
            loss=values["loss"],
            losses=_under("losses/", values),
            learning_rate=own.learning_rate,
            images_per_second=images_per_second,
            data_wait=everywhere.largest("data_wait"),
            weights=_under("weights/", values),
            monitors=own.monitors,
            utilization=None if arithmetic is None else arithmetic.utilization(images_per_second, self._plan.world),
            memory=largest,
            checkpoint_stall=everywhere.largest("stall"),
        )
        self._record(own, progress, values["gradient_norm"], round(sum(everywhere.values["broken"])))
        self._display.update(progress)
        for notice in own.notices:
            self.warn(notice)
        for rank, message in everywhere.messages:
            self._relay(rank, json.loads(message))
        slowest = everywhere.rank_of_largest("data_wait") if self._processes.size > 1 else None
        if notice := self._waiting.observe(progress.data_wait, seconds, slowest):
            self.warn(notice)

    def evaluated(self, step: int, results: Mapping[str, Score]) -> None:
        """Raises TrainingFault (M3I0706)."""
        self._step = step
        if self._log is not None:
            self._write("evaluation", step, **recorded_scores(results))
            self._display.evaluated(step, results)

    def position(self) -> int:
        """The length of the record, made durable; 0 on ranks that have none. Raises TrainingFault (M3I0706)."""
        return 0 if self._log is None else self._log.position()

    # --- the record ---------------------------------------------------------------------------------------------------

    def _record(self, own: Measured, progress: Progress, gradient_norm: float, broken: int) -> None:
        memory = progress.memory
        assert memory is not None
        self._write(
            "step",
            own.step,
            loss=progress.loss,
            losses=progress.losses,
            weights=progress.weights,
            learning_rate=progress.learning_rate,
            momentum=list(own.momenta),
            gradient_norm=gradient_norm,
            images_per_second=progress.images_per_second,
            mfu=progress.utilization,
            data_wait=progress.data_wait,
            checkpoint_stall=progress.checkpoint_stall,
            memory={"host": memory.host, "device_peak": memory.device_peak},
            broken_samples=broken,
            monitors=own.monitors,
            learned=own.learned,
        )

    def _relay(self, rank: int, said: Mapping[str, Any]) -> None:
        if "text" in said:
            if said["text"] not in self._relayed:  # many ranks may say the same
                self._relayed.add(said["text"])
                self.say(f"rank {rank}: {said['text']}")
            return
        code, message, notes, helps = said["notice"]
        notice = Notice(code, f"rank {rank}: {message}", tuple(notes), tuple(helps))
        self._display.warn(notice)
        self._write("warning", self._step, code=code, message=message, rank=rank)

    def _write(self, event: str, step: int, **fields: Any) -> None:
        assert self._log is not None and self._plan is not None
        record = {"event": event, "time": time.time(), "step": step, "epoch": step / self._plan.steps_per_epoch}
        self._log.write({**record, **fields})
        if self._fan is None or event not in ("step", "evaluation"):
            return
        self._fan.log(step, dict(scalars(fields)))
        for notice in self._fan.notices():
            self.warn(notice)


def _largest(own: Memory, everywhere: Gathered) -> Memory:
    peak = None if own.device_peak is None else round(everywhere.largest("device"))
    return replace(own, host=round(everywhere.largest("host")), device_peak=peak)


def _under(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _why(error: BaseException) -> str:
    """One line about what ended the run."""
    if isinstance(error, TrainingFault):
        return f"{error.code}: {error.message}"
    if isinstance(error, RecipeError):
        return "; ".join(f"{d.code}: {d.message}" for d in error.diagnostics)
    return f"{type(error).__name__}: {error}".splitlines()[0]
