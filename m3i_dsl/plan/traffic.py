"""What a step sends, from what the recipe's words mean: the analytic side of a dry run.

Takes: a ghost that runs its step once as one process, a world and a way to shard. Gives: the collectives of the same
step of one process of that world. Guarantees: counted from parameters and from the calls of modules, without a process
group; nothing here reads what the dry run observes.

Weights and gradients: each unit of FSDP2 is gathered before each of its calls and before each of its backward passes,
with its parameters filled up to a multiple of the shards; plan/units.py. What is of the global batch: plan/coupling.py.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from torch import nn

from m3i_dsl.plan.coupling import Coupling
from m3i_dsl.plan.exchanges import Exchange
from m3i_dsl.plan.ghost import Ghost
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


class Traffic:
    """Watches the step of a ghost inside `watching`; then tells what that step sends in any world."""

    def __init__(self, ghost: Ghost) -> None:
        self._module: nn.Module = ghost.module
        self._units = UnitCalls(ghost)
        self._coupling = Coupling(ghost.module)

    @contextmanager
    def watching(self) -> Generator[None]:
        with self._units, self._coupling:
            yield

    def of(self, world: World) -> list[Exchange]:
        """The collectives of a step; none for one process."""
        if world.size == 1:
            return []
        return [*self._weights(world), *self._coupling.exchanges(world.size), *self._norm(world)]

    def filled_up(self, world: World) -> float:
        """How many times what is in the weights is sent of them, as they are cut evenly; 1 without shards."""
        sent, present = self._units.sizes(world.shards)[0], self._units.sizes(1)[0]
        return sum(sent) / max(1, sum(present))

    def _weights(self, world: World) -> Iterator[Exchange]:
        if world.sharding == "none":
            for size in buckets(self._module):
                yield Exchange("all-reduce", "gradients", size, world.size)
            return
        gathered, scattered = self._units.sizes(world.shards)
        for size in gathered:
            yield Exchange("all-gather", "parameters", size, world.shards)
        for size in scattered:
            yield Exchange("reduce-scatter", "gradients", size, world.shards)
            if world.replicas > 1:
                yield Exchange("all-reduce", "gradients", size // world.shards, world.replicas, across=True)

    def _norm(self, world: World) -> Iterator[Exchange]:
        """The norms of all gradients, from those of their shards, and whether everything is finite."""
        trained = sum(1 for parameter in self._module.parameters() if parameter.requires_grad)
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
