"""Stopping at the next step boundary.

Takes: SIGTERM, SIGUSR1 (what schedulers send before they take a machine back) and SIGINT. Gives: a flag that the loop
reads between steps. Guarantees: the handlers that were there before are put back; a second SIGINT stops at once.
"""

from __future__ import annotations

import signal
import threading
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any

EXIT_TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: the run was stopped from outside and can be continued."""

EXIT_INTERRUPTED = 130

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest(AbstractContextManager["StopRequest"]):
    """`signal` is the first signal that came, or None."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
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

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number) if self.signal is None or number == signal.SIGINT else self.signal
