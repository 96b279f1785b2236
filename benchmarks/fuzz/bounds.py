"""Time and memory of a case.

Takes: a process in which cases run one after another. Gives: `bounded`, a case between its bounds. Guarantees: what
computes for too long is interrupted where it is, and raises `TooLong`, which no `except Exception` holds; time that
other programs take on a busy machine is not counted; a case that takes more memory than any before by `MEMORY` is
named.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
from collections.abc import Generator
from types import FrameType

SECONDS = 5.0
"""Of a processor."""

MEMORY = 1 << 30
"""Bytes."""

ADDRESSES = 8 << 30
"""Bytes of addresses beyond those in use, so that what would take a machine's memory fails instead."""


class TooLong(BaseException):
    """A case has used up its time."""


class TooLarge(BaseException):
    """A case has used up its memory."""


def begin() -> None:
    """Called once by the process."""
    signal.signal(signal.SIGPROF, _over)
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + ADDRESSES, resource.RLIM_INFINITY))


@contextlib.contextmanager
def bounded() -> Generator[None]:
    """Around one case. Raises TooLong, TooLarge."""
    before = _peak()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if (grown := _peak() - before) > MEMORY:
        raise TooLarge(f"{grown >> 20} MiB more memory than any case before")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _over(_: int, __: FrameType | None) -> None:
    raise TooLong(f"more than {SECONDS:g} s of processor time")
