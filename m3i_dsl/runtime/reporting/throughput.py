"""How fast it goes, and how long it waits for data.

Takes: the steps of the loop and the time spent outside them. Gives: images/s and the share of time spent waiting for
batches, over the window since they were last read. Guarantees: evaluations and the like do not count.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from m3i_dsl.runtime.interfaces import Batch


class Throughput:
    """One window after the other."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self.restart()

    def restart(self) -> None:
        self._began = time.monotonic()
        self._waited = 0.0
        self._steps = 0

    def timed(self, batches: Iterator[Batch]) -> Generator[Batch]:
        """The same batches; waiting for one is counted, and so is the step that follows."""
        try:
            while True:
                asked = time.monotonic()
                try:
                    batch = next(batches)
                except StopIteration:
                    return
                self._waited += time.monotonic() - asked
                self._steps += 1
                yield batch
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()  # ends data workers now, not when the garbage is collected

    @contextmanager
    def paused(self) -> Generator[None]:
        """Time in here does not count."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._began += time.monotonic() - began

    @property
    def elapsed(self) -> float:
        """Seconds of the window so far."""
        return max(time.monotonic() - self._began, 1e-9)

    def read(self) -> tuple[float, float]:
        """(images/s, share of time waiting in [0, 1]) of the window, and starts the next."""
        elapsed = self.elapsed
        result = self._steps * self._batch / elapsed, min(1.0, self._waited / elapsed)
        self.restart()
        return result
