"""All sinks that were asked for.

Takes: their names, then records. Gives: what to install for those that are missing, and one warning for each that
fails. Guarantees: training never waits for a sink and never ends because of one; a sink that cannot even be started
ends the command before training begins, unless torchrun has started the processes again by itself.

Each sink lives in a thread of its own, from its start to its end: networks stall, and MLflow knows a run by its thread.
"""

from __future__ import annotations

import importlib
import importlib.util
import queue
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from m3i_dsl.runtime.faults import RECORD_ELSEWHERE, Notice, TrainingFault
from m3i_dsl.runtime.reporting.sinks.model import Description, Sink, Start, Status

SINKS = ("tensorboard", "wandb", "mlflow")

WAITING = 1000
"""Records that a sink may be behind; further ones are dropped."""

FAREWELL = 60.0
"""Seconds that a sink has to send what is left when training ends."""


def missing(names: Sequence[str]) -> list[str]:
    """Those of `names` whose package is not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def chosen(names: Sequence[str] | None) -> tuple[str, ...]:
    """`names`, or by default TensorBoard where it is installed."""
    if names is not None:
        return tuple(names)
    return () if missing(["tensorboard"]) else ("tensorboard",)


class Fan:
    """Starts all sinks in `names`. Raises TrainingFault (M3I0741) when one cannot be started, unless `lenient`."""

    def __init__(self, names: Sequence[str], description: Description, *, lenient: bool = False) -> None:
        self._threads: list[_SinkThread] = []
        self._notices: list[Notice] = []
        for name in names:
            thread = _SinkThread(name, _start_of(name), description)
            if thread.failure is None:
                self._threads.append(thread)
                continue
            notice = _cannot_start(name, thread.failure)
            if not lenient:
                self.finish("failed")
                raise TrainingFault(notice.code, notice.message, notes=notice.notes, helps=notice.helps)
            self._notices.append(notice)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for thread in self._threads:
            thread.log(step, values)

    def notices(self) -> list[Notice]:
        """What has gone wrong since this was last asked; a sink that fails is left alone from then on."""
        new, self._notices = self._notices, []
        for thread in [thread for thread in self._threads if thread.failure is not None]:
            self._threads.remove(thread)
            new.append(_gave_up(thread))
        return new

    def finish(self, status: Status) -> list[Notice]:
        """Lets every sink end the run with `status`, and gives the last notices."""
        for thread in self._threads:
            thread.end(status)
        for thread in self._threads:
            thread.join()
        return self.notices()


class _SinkThread:
    def __init__(self, name: str, start: Start, description: Description) -> None:
        self.name = name
        self.failure: Exception | None = None
        self._start, self._description = start, description
        self._records: queue.Queue[tuple[int, Mapping[str, float]] | Status] = queue.Queue(WAITING)
        self._started = threading.Event()
        # A daemon: a sink that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=f"record-in-{name}", daemon=True)
        self._thread.start()
        self._started.wait()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._put((step, values))

    def end(self, status: Status) -> None:
        self._put(status)

    def join(self) -> None:
        self._thread.join(FAREWELL)
        if self._thread.is_alive():
            self.failure = TimeoutError(f"it did not end within {FAREWELL:.0f} seconds")

    def _put(self, record: tuple[int, Mapping[str, float]] | Status) -> None:
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self.failure = self.failure or TimeoutError(f"it is {WAITING} records behind")

    def _work(self) -> None:
        try:
            sink: Sink = self._start(self._description)
        except Exception as problem:  # whatever the tool raises
            self.failure = problem
            return
        finally:
            self._started.set()
        try:
            while not isinstance(record := self._records.get(), str):
                sink.log(*record)
            sink.finish(record)
        except Exception as problem:  # whatever the tool raises
            self.failure = problem


def _start_of(name: str) -> Start:
    module: Any = importlib.import_module(f"m3i_dsl.runtime.reporting.sinks.{name}")
    return module.start


def _cannot_start(name: str, problem: Exception) -> Notice:
    return Notice(
        RECORD_ELSEWHERE,
        f"the run cannot be recorded in {name}: {_said(problem)}",
        notes=(f"that is what {name} says; `metrics.jsonl` needs none of it",),
        helps=(f"put {name} right (its login, its server), or leave it out of `--log-to`",),
    )


def _gave_up(thread: _SinkThread) -> Notice:
    assert thread.failure is not None
    return Notice(
        RECORD_ELSEWHERE,
        f"the run is no longer recorded in {thread.name}: {_said(thread.failure)}",
        notes=("training goes on, and `metrics.jsonl` has everything",),
        helps=(f"{thread.name} gets what comes after the next `m3ic train --resume`",),
    )


def _said(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
