"""Whether training waits for its data.

Takes: the share of time that each logged window spent waiting. Gives: one warning for each episode, which names the
setting to change. Guarantees: the first window, in which workers and caches start, does not count; a short pause of the
storage is no episode.
"""

from __future__ import annotations

import os

from m3i_dsl.runtime.faults import WAITING_FOR_DATA, Notice

LIMIT = 0.2
"""Share of the time: a fifth more devices would do as much as data that is there in time."""

LIMIT_ON_CPU = 0.5
"""There the same cores decode and compute, and workers of their own take from one to give to the other."""

WINDOWS = 3
SECONDS = 20.0
"""An episode has so many windows in a row above the limit, and lasts so long."""


def limit_for(device: str) -> float:
    """The share that is too much on a device of this name (`resources.name_of`)."""
    return LIMIT_ON_CPU if device == "CPU" else LIMIT


class DataWaitMonitor:
    """`workers` is the run's number of data workers, None where there is nothing to set."""

    def __init__(self, workers: int | None, limit: float = LIMIT) -> None:
        self._workers, self._limit = workers, limit
        self._started = False
        self._windows = 0
        self._seconds = 0.0
        self._waited = 0.0
        self._warned = False

    def observe(self, share: float, seconds: float, rank: int | None = None) -> Notice | None:
        """`share` of a window of `seconds`, on the rank that waited most."""
        if not self._started:
            self._started = True
            return None
        if share <= self._limit:
            self._windows, self._seconds, self._waited = 0, 0.0, 0.0
            self._warned = self._warned and share > self._limit / 2
            return None
        self._windows += 1
        self._seconds += seconds
        self._waited += share * seconds
        if self._warned or self._windows < WINDOWS or self._seconds < SECONDS:
            return None
        self._warned = True
        return self._notice(rank)

    def _notice(self, rank: int | None) -> Notice:
        where = "" if rank is None else f" on rank {rank}"
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        notes = [
            f"in the last {self._seconds:.0f} seconds; above {self._limit:.0%}, devices stand idle for the data's sake"
        ]
        if self._workers is not None:
            notes.append(f"`--workers` is {self._workers}; this process may use {cores} processor cores")
        return Notice(
            WAITING_FOR_DATA,
            f"training waits for data {self._waited / self._seconds:.0%} of the time{where}",
            notes=tuple(notes),
            helps=(
                "stop with Ctrl-C and go on with `m3ic train --resume --workers N` and a larger N (nothing of the "
                "result changes), or move the data to faster storage",
            ),
        )
