"""The copy of a run's tensors to host memory: all that a step waits for when a checkpoint is due.

Takes: live tensors by name, the same names on every process. Gives: `Staged`: this process's part of DCP's plan, and
copies of the tensors that it writes. Guarantees: each byte is copied and written by one process, and what all of them
hold alike is divided among them; copies stay as they are while training goes on; their memory is used again by the
next checkpoint, so that it does not grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner, create_default_local_save_plan
from torch.distributed.checkpoint.planner import SavePlan, WriteItem
from torch.distributed.tensor import DTensor, Replicate

from m3i_dsl.collectives.sharded import local

BYTES_PER_FILE = 1 << 30
"""About the size of a file of one process: the tensors of a file are put together in memory to be written."""


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """`plan` says what this process writes, `host` holds it, `files` numbers the file of every tensor."""

    plan: SavePlan
    host: Mapping[str, Tensor]
    files: Mapping[str, int]


class StagedPlanner(DefaultSavePlanner):
    """DCP's planner with a plan made beforehand from the live tensors, and data from the copies."""

    def __init__(self, staged: Staged) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._staged = staged

    def create_local_plan(self) -> SavePlan:
        self.plan = self._staged.plan
        return self.plan

    def resolve_data(self, write_item: WriteItem) -> Tensor:
        return self._staged.host[write_item.index.fqn]


class Staging:
    """Host memory of one process among `size`, reused from checkpoint to checkpoint."""

    def __init__(self, rank: int, size: int) -> None:
        self._rank, self._size = rank, size
        self._host: dict[str, Tensor] = {}

    @torch.no_grad()
    def stage(self, tensors: Mapping[str, Tensor]) -> Staged:
        """Copies this process's part; returns when the copies are complete."""
        mine = self._mine(tensors)
        kept = {name: self._copied(name, part) for name, part in ((n, local(t)) for n, t in mine.items())}
        self._host = kept
        for device in {tensor.device for tensor in mine.values() if tensor.is_cuda}:
            torch.cuda.current_stream(device).synchronize()
        return Staged(
            create_default_local_save_plan(dict(mine), is_coordinator=self._rank == 0),
            kept,
            _files(tensors, BYTES_PER_FILE * self._size),
        )

    def release(self) -> None:
        """Gives the host memory back."""
        self._host = {}

    def _mine(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What this process writes: its own shards, its share of what others hold, too."""
        loads = [0] * self._size
        mine: dict[str, Tensor] = {}
        for number, (name, tensor) in enumerate(tensors.items()):
            if isinstance(tensor, DTensor):
                if _writes(tensor, number):
                    mine[name] = tensor
                continue
            owner = loads.index(min(loads))
            loads[owner] += max(1, tensor.numel() * tensor.element_size())
            if owner == self._rank:
                mine[name] = tensor
        return mine

    def _copied(self, name: str, part: Tensor) -> Tensor:
        copy = self._host.get(name)
        if copy is None or copy.shape != part.shape or copy.dtype != part.dtype:
            copy = torch.empty(part.shape, dtype=part.dtype, pin_memory=part.is_cuda)
        return copy.copy_(part, non_blocking=part.is_cuda)


def _writes(tensor: DTensor, number: int) -> bool:
    """Whether this process writes its shard: of those that hold the same one, tensor after tensor another."""
    place = tensor.device_mesh.get_coordinate()
    if place is None:
        return False
    return all(
        place[dimension] == number % tensor.device_mesh.size(dimension)
        for dimension, placement in enumerate(tensor.placements)
        if isinstance(placement, Replicate)
    )


def _files(tensors: Mapping[str, Tensor], limit: int) -> dict[str, int]:
    """A number from 1 for each tensor: another file for weights than for moments, and for each `limit` bytes."""
    numbers: dict[str, int] = {}
    number, filled, kind = 0, 0, None
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if name.partition("/")[0] != kind or (filled and filled + size > limit):
            number, filled, kind = number + 1, 0, name.partition("/")[0]
        filled += size
        numbers[name] = number
    return numbers
