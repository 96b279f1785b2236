"""Stopping at the next step boundary.

Takes: SIGTERM, SIGUSR1 (what schedulers send before they take a machine back) and SIGINT. Gives: a flag that the loop
reads between steps. Guarantees: the handlers that were there before are put back; a second SIGINT stops at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType, TracebackType
from typing import Any

EXIT_TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: the run was stopped from outside and can be continued."""

EXIT_INTERRUPTED = 130

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Interrupted(BaseException):
    """A signal came where waiting for the next step boundary would take too long. Not an `Exception`: none is to be
    mistaken for a fault of what was interrupted.
    """


class StopRequest(AbstractContextManager["StopRequest"]):
    """`signal` is the first signal that came, or None.

    `patient` ignores a second SIGINT: torchrun's agent passes on what a terminal has sent to all processes already.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self.signal: signal.Signals | None = None
        self._patient = patient
        self._interrupt = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # Python sets handlers there only
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        return EXIT_INTERRUPTED if self.signal is signal.SIGINT else EXIT_TRY_AGAIN

    @contextmanager
    def interrupting(self) -> Generator[None]:
        """What is done in here ends with `Interrupted` as soon as a signal comes, or at once if one has come."""
        if self.signal is not None:
            raise Interrupted
        self._interrupt = True
        try:
            yield
        finally:
            self._interrupt = False

    @contextmanager
    def held(self) -> Generator[None]:
        """Within `interrupting`, a stretch that is not interrupted; a signal that came meanwhile does so after it."""
        before, self._interrupt = self._interrupt, False
        yield
        if before and self.signal is not None:
            raise Interrupted
        self._interrupt = before

    def adopt(self, number: int) -> None:
        """Takes over the signal that another process was sent."""
        self.signal = signal.Signals(number) if self.signal is None else self.signal

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is signal.SIGINT and number == signal.SIGINT and not self._patient:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number) if self.signal is None or number == signal.SIGINT else self.signal
        if self._interrupt:
            self._interrupt = False
            raise Interrupted
