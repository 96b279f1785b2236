"""The memory of a process and of its workers while something runs (Linux)."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

MIB = 2**20


def own(process: int) -> int:
    """Bytes that belong to a process: its own, and its share of what it shares with others; no pages of files."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, number, _ = line.split()
        found[name] = 1024 * int(number)
    return found["Pss_Anon:"] + found["Pss_Shmem:"]


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    found = (task.joinpath("children").read_text().split() for task in Path(f"/proc/{process}/task").iterdir())
    return [int(child) for each in found for child in each]


@dataclass
class Curve:
    """Seconds, and bytes of the process alone and with its workers, beside those at the start."""

    points: list[tuple[float, int, int]] = field(default_factory=list[tuple[float, int, int]])
    stages: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def peak(self) -> tuple[int, int]:
        """Of the process, and with its workers."""
        return max(point[1] for point in self.points), max(point[2] for point in self.points)


@contextlib.contextmanager
def watched(curve: Curve, every: float = 0.5) -> Generator[None]:
    """Looks at this process `every` so many seconds."""
    start, ended = time.monotonic(), threading.Event()
    base = own(os.getpid())

    def look() -> None:
        while not ended.wait(every):
            alone, all_ = own(os.getpid()), 0
            for child in children(os.getpid()):
                with contextlib.suppress(OSError, KeyError):  # it has just ended
                    all_ += own(child)
            curve.points.append((time.monotonic() - start, alone - base, alone + all_ - base))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
