"""Times of what several processes do together: the sides take turns, and all ranks take the same turn.

Takes: named functions, the same names on every rank. Gives: for each the seconds of one call in every round, those of
the slowest rank. Guarantees: ranks begin every measurement at a barrier of hosts and each waits for its device before
it looks at the clock; the order of the sides turns with every round; garbage is collected between measurements only.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.distributed as dist

from benchmarks.speed.timing import Timed
from m3i_dsl.runtime.distributed.agreement import gathered
from m3i_dsl.runtime.distributed.group import Processes


def interleaved(
    processes: Processes, sides: Mapping[str, Callable[[], object]], *, rounds: int, warmup: int = 1, calls: int = 1
) -> dict[str, Timed]:
    """Each of `sides` in turn, `rounds` times, after `warmup` that do not count; `calls` make one measurement."""
    names = list(sides)
    for name in names:
        for _ in range(warmup):
            seconds(processes, sides[name])
    found: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(rounds):
        gc.collect()
        gc.disable()
        try:
            start = round_ % len(names)
            for name in names[start:] + names[:start]:
                found[name].append(seconds(processes, sides[name], calls))
        finally:
            gc.enable()
    return slowest(processes, found)


def seconds(processes: Processes, side: Callable[[], object], calls: int = 1) -> float:
    """Of one call on this rank; all ranks begin together."""
    settle(processes)
    begun = time.perf_counter()
    for _ in range(calls):
        side()
    if processes.device.type == "cuda":
        torch.cuda.synchronize(processes.device)
    return (time.perf_counter() - begun) / calls


def settle(processes: Processes) -> None:
    """Returns when all ranks and their devices have nothing left to do."""
    if processes.device.type == "cuda":
        torch.cuda.synchronize(processes.device)
    dist.barrier(processes.control)


def slowest(processes: Processes, found: Mapping[str, Sequence[float]]) -> dict[str, Timed]:
    """Measurement by measurement the largest of all ranks."""
    ranks = gathered(processes, dict(found))
    return {
        name: Timed(tuple(max(times) for times in zip(*(rank[name] for rank in ranks), strict=True))) for name in found
    }
