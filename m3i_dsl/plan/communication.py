"""What a plan says of communication: counted, and beside it what a dry run has observed.

Takes: the collectives that a step is expected to call, and perhaps an executable for a dry run. Gives: the part of the
plan. Guarantees: what was not observed is None, never a copy of what was expected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from m3i_dsl.lower.executable import Executable
from m3i_dsl.plan.exchanges import Exchange, Sum, summed
from m3i_dsl.plan.schema import CommunicationPlan, TrafficPlan
from m3i_dsl.plan.traffic import World

ALLOWED = 0.02
"""How far the bytes that are counted may be from those that are observed."""


def communication_of(
    expected: Iterable[Exchange], world: World, observed: Iterable[Exchange] | None = None
) -> CommunicationPlan:
    """`observed` by a dry run in the same world."""
    traffic = tuple(_traffic(expected, observed))
    return CommunicationPlan(shard=world.sharding, dry_run=observed is not None, traffic=traffic)


def observed_in(executable: Executable, world: World, local_batch: int) -> Sequence[Exchange]:
    """By a dry run. Raises TrainingFault where training refuses to shard so, RuntimeError inside of a process group."""
    from m3i_dsl.plan.dry_run import observe  # torch's own test support, which only a dry run needs

    return observe(executable, world.size, local_batch, world.sharding, world.machine)


def disagreements(communication: CommunicationPlan) -> list[TrafficPlan]:
    """The lines in which more than `ALLOWED` is between bytes counted and observed."""
    return [
        line for line in communication.traffic if line.difference is not None and not abs(line.difference) <= ALLOWED
    ]


def _traffic(counted: Iterable[Exchange], observed: Iterable[Exchange] | None) -> Iterator[TrafficPlan]:
    expected = summed(counted)
    found = None if observed is None else summed(observed)
    for key in expected if found is None else expected | found:
        purpose, operation = key
        analytic, seen = expected.get(key, Sum()), None if found is None else found.get(key, Sum())
        yield TrafficPlan(
            purpose=purpose,
            operation=operation,
            collectives=analytic.count,
            received=analytic.received,
            observed_collectives=None if seen is None else seen.count,
            observed_received=None if seen is None else seen.received,
        )
