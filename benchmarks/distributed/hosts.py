"""What hosts do in each step besides training: their vote, the watchdog, and the verdict on bad numbers.

Takes: the rounds. Gives: an `Outcome`. Guarantees: each is measured by itself, with nothing to hide behind; in a step
the vote is asked before the forward pass and answered after the optimizer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist

from benchmarks.distributed.timing import interleaved
from benchmarks.speed.outcome import Outcome
from m3i_dsl.runtime.distributed.agreement import Vote
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.watchdog import Watchdog

CALLS = 200
"""In one measurement: one call is a fraction of a millisecond."""

VOTE, WATCHDOG, VERDICT = "vote of hosts", "watchdog", "verdict on bad numbers"


def agreement(processes: Processes, rounds: int) -> Outcome:
    """Seconds a step."""
    vote = Vote(processes)
    verdict = torch.zeros((), device=processes.device)
    with Watchdog(processes, 600.0) as watchdog:

        def watched() -> None:
            watchdog.at("reading the batch of step 1")
            watchdog.at("computing step 1")
            watchdog.stepped("at the boundary after step 1")

        sides: dict[str, Callable[[], object]] = {
            VOTE: lambda: vote.now(0),
            WATCHDOG: watched,
            VERDICT: lambda: dist.all_reduce(verdict, dist.ReduceOp.MAX),
        }
        times = interleaved(processes, sides, rounds=rounds, calls=CALLS)
    note = (
        "A vote is answered here as soon as it is asked; in a step hosts have its whole time. The watchdog is told "
        f"three times a step where the process stands, in {1e6 * times[WATCHDOG].median:.1f} us."
    )
    return Outcome("hosts", VOTE, times, notes=(note,))
