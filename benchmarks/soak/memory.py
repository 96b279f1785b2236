"""Host memory of the ranks over time.

Takes: the mark of a run's processes. Gives: the resident memory of each rank with its data workers, about once a
second, and the slope of a long life. Guarantees: the slope is the median of those between all pairs of samples (Theil
and Sen), over the second half of the life: neither what a start allocates nor a single peak is taken for a leak.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import combinations

from benchmarks.soak.processes import ranks

EVERY = 1.0
"""Seconds between samples."""

MOST = 400
"""Samples that a slope is of; there are half as many pairs as their square."""


@dataclass(frozen=True, slots=True)
class Growth:
    """`peak` bytes at most; `slope` bytes a second over the last `seconds`."""

    peak: int
    slope: float
    seconds: float


class Memory:
    """`lives` has (seconds, bytes) of each process that computed, by (process, rank)."""

    def __init__(self, mark: str) -> None:
        self.lives: dict[tuple[int, str], list[tuple[float, int]]] = {}
        self._mark = mark
        self._next = 0.0

    def sample(self) -> None:
        """Looks, if the last look was long enough ago."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY
        for process in ranks(self._mark):
            self.lives.setdefault((process.number, process.rank or ""), []).append((now, process.rss))

    def peaks(self) -> list[int]:
        """The most that each process took, in the order in which they were seen first."""
        return [max(rss for _, rss in samples) for samples in self.lives.values()]

    def growth(self) -> dict[str, Growth]:
        """Of each rank, of the process of it that lived longest."""
        longest: dict[str, list[tuple[float, int]]] = {}
        for (_, rank), samples in self.lives.items():
            if len(samples) > len(longest.get(rank, [])):
                longest[rank] = samples
        return {rank: growth(samples) for rank, samples in sorted(longest.items())}


def growth(samples: list[tuple[float, int]]) -> Growth:
    """Of the second half; NaN for fewer than four samples."""
    half = samples[len(samples) // 2 :]
    thinned = half[:: -(-len(half) // MOST)] if half else []
    pairs = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in combinations(thinned, 2)]
    if not pairs:
        return Growth(max((rss for _, rss in samples), default=0), float("nan"), 0.0)
    return Growth(max(rss for _, rss in samples), statistics.median(pairs), thinned[-1][0] - thinned[0][0])
