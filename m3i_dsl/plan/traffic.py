"""What a step sends, from what its parts say: the analytic side of a dry run.

Takes: a fake copy, the names of its parts, a world and a way to shard. Gives: the collectives of a step of one process
of that world. Guarantees: the step runs in a recorded world of that size (m3i_dsl/collectives), without a process
group; nothing here reads what the dry run observes, and no part is asked what it is.

Weights and gradients: each unit of FSDP2 is gathered before each of its calls and before each of its backward passes,
with its parameters filled up to a multiple of the shards; plan/units.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from torch import nn

from m3i_dsl.collectives import Record, recorded
from m3i_dsl.plan.callers import Callers
from m3i_dsl.plan.exchanges import Exchange
from m3i_dsl.plan.fake_copy import FakeCopy
from m3i_dsl.plan.units import UnitCalls
from m3i_dsl.runtime.distributed.wrapping import Sharding

FULL = 4
"""Bytes of a gradient, and of a number of a norm."""

FIRST_BUCKET, BUCKET = 1 << 20, 25 << 20
"""Bytes of DistributedDataParallel's buckets: a small one, so that the first gradients are on their way soon."""

# What DistributedDataParallel itself asks; torch has no public name for it.
_assigned: Any = dist._compute_bucket_assignment_by_size  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


@dataclass(frozen=True, slots=True)
class World:
    """`machine`: processes of one machine, within which `hsdp` shards."""

    size: int
    machine: int
    sharding: Sharding

    @property
    def shards(self) -> int:
        """Parts that weights are cut into."""
        sizes = {"none": 1, "fsdp": self.size, "hsdp": min(self.machine, self.size)}
        return sizes[self.sharding]

    @property
    def replicas(self) -> int:
        """Processes that have the same weights."""
        return self.size // self.shards


@dataclass(frozen=True, slots=True)
class Traffic:
    """The collectives of a step, none for one process. `filled_up`: how many times what is in the weights is sent of
    them, as they are cut evenly (0 without shards). `called` are the parts that the step calls, `callers` those of them
    that called a collective.
    """

    exchanges: tuple[Exchange, ...]
    filled_up: float
    called: frozenset[str]
    callers: frozenset[str]


def traffic_of(fake: FakeCopy, world: World, parts: Mapping[str, nn.Module] | None = None, norms: int = 0) -> Traffic:
    """Runs a forward and a backward pass of `fake`, once. `parts` of its module are told apart, by name.

    `norms` are those that the optimizer needs beside the gradients' own.
    """
    units = UnitCalls(fake)
    with fake.running(), recorded(world.size) as record, units, Callers(record, parts or {}) as callers:
        output = fake.module(**fake.batch)
        callers.between(output)
        output["loss"].backward()
    return Traffic(
        exchanges=() if world.size == 1 else tuple(_exchanges(fake.module, world, units, record, norms)),
        filled_up=sum(units.sizes(world.shards)[0]) / max(1, sum(units.sizes(1)[0])),
        called=frozenset(callers.called),
        callers=frozenset(sent.caller for sent in record.sent) - {""},
    )


def _exchanges(module: nn.Module, world: World, units: UnitCalls, record: Record, norms: int) -> Iterator[Exchange]:
    yield from _weights(module, world, units)
    for sent in record.sent:
        yield Exchange(sent.operation, sent.purpose, sent.size, world.size)
    yield from _norm(module, world)
    if norms and world.shards > 1:
        yield Exchange("all-reduce", "statistics", FULL * norms, world.shards)


def _weights(module: nn.Module, world: World, units: UnitCalls) -> Iterator[Exchange]:
    if world.sharding == "none":
        for size in buckets(module):
            yield Exchange("all-reduce", "gradients", size, world.size)
        return
    gathered, scattered = units.sizes(world.shards)
    for size in gathered:
        yield Exchange("all-gather", "parameters", size, world.shards)
    for size in scattered:
        yield Exchange("reduce-scatter", "gradients", size, world.shards)
        if world.replicas > 1:
            yield Exchange("all-reduce", "gradients", size // world.shards, world.replicas, across=True)


def _norm(module: nn.Module, world: World) -> Iterator[Exchange]:
    """The norms of all gradients, from those of their shards, and whether everything is finite."""
    trained = sum(1 for parameter in module.parameters() if parameter.requires_grad)
    if world.shards > 1:
        yield Exchange("all-reduce", "statistics", FULL * trained, world.shards)
    yield Exchange("all-reduce", "statistics", FULL, world.size)


def buckets(module: nn.Module) -> list[int]:
    """Bytes of the buckets in which DistributedDataParallel reduces: filled from the last parameter to the first."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trained:
        return []
    trained.reverse()
    indices, _ = _assigned(trained, [FIRST_BUCKET, BUCKET])
    return [sum(trained[index].nbytes for index in bucket) for bucket in indices]
