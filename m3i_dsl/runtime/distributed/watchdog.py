"""A rank that hangs ends in a message, not in silence.

Takes: how far this process has come, from the loop. Gives: when no step is done for `seconds`, M3I0732 with where every
rank stands (step, what it was doing, and the line of Python that waits), and an end of the process, so that torchrun's
agent can start all of them again. Guarantees: it works while the main thread is stuck in a collective; one rank speaks
for all; nothing of it costs a step more than two assignments. Evaluations and checkpoints have longer.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from types import FrameType
from typing import NoReturn

from torch.distributed.distributed_c10d import Store

from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.faults import HUNG, Notice

FIRST = 5
"""The first step may take this many times longer: blocks are compiled, libraries tune themselves."""

LONG = 36
"""An evaluation or a checkpoint may take this many times longer: six hours where a step may take ten minutes."""

_ASK = 3.0
"""Seconds in which the other ranks can say where they stand: theirs run out at about the same time."""


class Watchdog(contextlib.AbstractContextManager["Watchdog"]):
    """Watches one process. `end` is what happens after the message; a test looks at it instead."""

    def __init__(self, processes: Processes, seconds: float, end: Callable[[], object] | None = None) -> None:
        self._processes, self._seconds = processes, seconds
        self._end = _exit if end is None else end
        self._store = None if processes.store is None else processes.store.clone()
        self._since: float | None = None
        self.where = "starting"
        self._times = FIRST
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._main = threading.get_ident()

    def __enter__(self) -> Watchdog:
        if self._store is not None:
            self._store.set_timeout(timedelta(seconds=2 * _ASK))
            self._thread = threading.Thread(target=self._watch, name="m3ic-watchdog", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def at(self, where: str) -> None:
        """The process goes on: it is about to do `where`, in words that fit `rank 3 was WHERE`."""
        self.where = where
        self._since = time.monotonic()

    def stepped(self, where: str) -> None:
        """The same after a step."""
        self._times = 1
        self.at(where)

    @contextlib.contextmanager
    def long(self, where: str) -> Generator[None]:
        """Something that may take LONG times longer than a step: an evaluation, or a checkpoint. It stays the place of
        a process that did not come through it.
        """
        before, times = self.where, self._times
        self._times = LONG
        self.at(where)
        yield
        self._times = times
        self.at(before)

    def _watch(self) -> None:
        while not self._closed.wait(min(1.0, self._seconds / 4)):
            since = self._since
            allowed = self._seconds * self._times
            if since is not None and time.monotonic() - since > allowed:
                self._bark(time.monotonic() - since)
                return

    def _bark(self, waited: float) -> None:
        rank, size = self._processes.rank, self._processes.size
        assert self._store is not None
        self._tell(self._store, rank)
        self._closed.wait(_ASK)
        try:
            speaks = self._store.add("m3ic/hung", 1) == 1
            found = {other: _told(self._store, other) for other in range(size)} if speaks else {}
        except RuntimeError:
            # The store lives in the process of rank 0 or in torchrun's agent, and it does not answer.
            speaks, found = True, {rank: self._line(rank)}
        if speaks:
            notice = Notice(
                HUNG,
                f"nothing has happened for {waited:.0f} s: processes wait for one that does not come",
                notes=tuple(
                    found.get(other) or f"rank {other} does not answer: it was stopped, or is busy outside of Python"
                    for other in range(size)
                ),
                helps=("look at the ranks that are behind or do not answer; `--timeout` sets how long to wait",),
            )
            print(notice.text("error"), file=sys.stderr, flush=True)
        self._end()

    def _tell(self, store: Store, rank: int) -> None:
        with contextlib.suppress(RuntimeError):
            store.set(f"m3ic/stands/{rank}", self._line(rank))

    def _line(self, rank: int) -> str:
        frame = sys._current_frames().get(self._main)  # pyright: ignore[reportPrivateUsage]  # documented
        return f"rank {rank} was {self.where}{_place(frame)}"


def _told(store: Store, rank: int) -> str | None:
    key = f"m3ic/stands/{rank}"
    return store.get(key).decode() if store.check([key]) else None


def _place(frame: FrameType | None) -> str:
    """`, in all_reduce (at m3i_dsl/runtime/guard.py:91)`: the innermost call into torch, and our line that made it."""
    called: str | None = None
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("m3i_dsl."):
            file = frame.f_code.co_filename
            line = f"{module.replace('.', '/')}.py:{frame.f_lineno}" if file else module
            return f", in `{called or frame.f_code.co_name}` ({line})"
        if module.startswith("torch.") and not frame.f_code.co_name.startswith(("_", "wrapper", "inner")):
            called = frame.f_code.co_name
        frame = frame.f_back
    return ""


def _exit() -> NoReturn:
    os._exit(1)
