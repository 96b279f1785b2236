"""Times that can be compared: the sides of a case take turns in one process.

Takes: named functions and a number of rounds. Gives: for each the seconds of one call in every round. Guarantees: the
order of the sides turns with every round, so that none always follows the same one; a short function is called several
times for one number; garbage is collected before a round and not during one.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SHORTEST = 0.02
"""Seconds that one measurement takes at least: far above the clock's grain and a thread pool's wake-up."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of one call, in each round."""

    seconds: tuple[float, ...]

    @property
    def minimum(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def interleaved(sides: Mapping[str, Callable[[], object]], *, rounds: int, warmup: int = 2) -> dict[str, Timed]:
    """Each of `sides` in turn, `rounds` times, after `warmup` calls that do not count (at least one: it is timed)."""
    calls = {name: _calls(side, max(1, warmup)) for name, side in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for round_ in range(rounds):
        gc.collect()
        gc.disable()
        try:
            start = round_ % len(names)
            for name in names[start:] + names[:start]:
                seconds[name].append(_seconds(sides[name], calls[name]))
        finally:
            gc.enable()
    return {name: Timed(tuple(values)) for name, values in seconds.items()}


def _calls(side: Callable[[], object], warmup: int) -> int:
    """How many calls make one measurement, from the last of the warm-up calls."""
    for _ in range(warmup - 1):
        side()
    return max(1, round(SHORTEST / max(_seconds(side, 1), 1e-9)))


def _seconds(side: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        side()
    return (time.perf_counter() - start) / calls
