"""A small run, spread over processes in each way: what test_checkpoints.py saves and reads back."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from m3i_dsl.collectives.sharded import whole
from m3i_dsl.runtime.checkpoints.snapshot import Snapshot
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.wrapping import placement
from m3i_dsl.runtime.precision import Precision
from m3i_dsl.runtime.run_folder import RunIdentity

CPU = torch.device("cpu")


class Small(nn.Module):
    """Sizes that two processes cannot halve, one of them too small to share, one cut along its last dimension; an
    average, a queue and a tied weight."""

    queue: Tensor
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 7)
        self.last = nn.Linear(7, 3, bias=False)
        self.token = nn.Parameter(torch.randn(1, 3))
        self.positions = nn.Parameter(torch.randn(1, 3, 4))
        self.tied = self.last
        self.average = copy.deepcopy(self.first).requires_grad_(False)
        self.register_buffer("queue", torch.randn(5, 3))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        y = self.last(torch.relu(self.first(x))) + self.token + self.positions.mean(dim=-1)
        with torch.no_grad():
            self.seen.add_(len(x))
            self.queue.copy_(torch.cat([y[:2], self.queue[:-2]]))
        return (y @ self.queue.T).square().mean()


@dataclass
class Run:
    module: Small
    call: nn.Module
    optimizer: torch.optim.Optimizer
    snapshot: Snapshot
    processes: Processes

    def step(self, number: int) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        x = torch.randn(4, 6, generator=torch.Generator().manual_seed(number))
        self.call(x).backward()
        self.optimizer.step()
        with torch.no_grad():
            for average, source in zip(self.module.average.parameters(), self.module.first.parameters(), strict=True):
                average.lerp_(source, 0.1)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a checkpoint holds, whole."""
        content = self.snapshot.files(0, metrics_bytes=0, evaluations_due=False)
        return {name: whole(tensor).clone() for name, tensor in content.tensors.items()}

    def settings(self) -> Any:
        return self.snapshot.files(0, metrics_bytes=0, evaluations_due=False).plain["optimizer"]


def members() -> Processes:
    """The processes of the default group; one without any."""
    if not dist.is_initialized():
        return Processes(CPU)
    control: Any = dist.new_group(backend="gloo")
    return Processes(CPU, dist.get_rank(), dist.get_world_size(), control=control)


def spread(way: str, seed: int) -> Run:
    """`one`: a process; `ddp`, `fsdp`, `hsdp`: two of them."""
    torch.manual_seed(seed)
    module = Small()
    call: nn.Module = module
    if way == "ddp":
        call = DistributedDataParallel(module, broadcast_buffers=False)
    elif way != "one":
        names = ("shard",) if way == "fsdp" else ("replicate", "shard")
        mesh = init_device_mesh("cpu", (2,) if way == "fsdp" else (2, 1), mesh_dim_names=names)
        for part in (module.first, module.average):
            fully_shard(part, mesh=mesh, shard_placement_fn=placement(mesh.size(-1)))
        fully_shard(module, mesh=mesh, shard_placement_fn=placement(mesh.size(-1)))
    vectors = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.ndim < 2]
    matrices = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.ndim > 1]
    optimizer = torch.optim.AdamW(
        [{"params": vectors, "weight_decay": 0.0}, {"params": matrices, "initial_lr": 0.1}], lr=0.01 * seed
    )
    snapshot = Snapshot(module, optimizer, RunIdentity("small", "a" * 64, {}), CPU, Precision("fp32", CPU))
    return Run(module, call, optimizer, snapshot, members())


def saved(folder: Path, way: str) -> tuple[dict[str, Tensor], Any, Tensor]:
    """Trains three steps, saves, trains on while it is written; gives what was saved and the random numbers."""
    run = spread(way, seed=1)
    for number in range(3):
        run.step(number)
    expected, settings = run.tensors(), run.settings()
    torch.manual_seed(99)
    with CheckpointStore(folder, processes=run.processes) as store:
        store.save(3, run.snapshot.files(3, metrics_bytes=7, evaluations_due=True))
        random = torch.randn(3)
        run.step(3)
    return expected, settings, random


def restored(folder: Path, way: str) -> tuple[dict[str, Tensor], Any, Tensor, tuple[int, int, bool]]:
    """Reads the newest checkpoint into a run with other weights that has never stepped."""
    run = spread(way, seed=2)
    with CheckpointStore(folder, processes=run.processes) as store:
        checkpoint, warnings = store.newest()
    assert checkpoint is not None and warnings == []
    back = run.snapshot.restore(checkpoint)
    found = run.tensors()
    random = torch.randn(3)
    run.step(4)  # what was read can be trained
    return found, run.settings(), random, (back.step, back.metrics_bytes, back.evaluations_due)
