"""The module of a run, spread over its processes.

Takes: the module on its device, its averaged pairs, a way to shard. Gives: `Parallel`, through which the step calls the
module. Guarantees: gradients are means over the ranks (see m3i_dsl/collectives); an average is sharded exactly as its
student, so that it moves without communication; names in the state dict are those of the plain module; parameters
that take no gradient are outside of every bucket, so nothing has to be found unused.

Order: compilation of blocks, then sharding (as dinov3 and torchtitan do).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard
from torch.nn.parallel import DistributedDataParallel

from m3i_dsl.modules.weightings import GradNormWeighting
from m3i_dsl.runtime.compiling import transformer_blocks
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.faults import LAUNCH, TrainingFault
from m3i_dsl.runtime.interfaces import AveragedPair

Sharding = Literal["none", "fsdp", "hsdp"]


class Parallel:
    """`call` is what a step calls; `module` is the recipe's own, with the recipe's names."""

    def __init__(self, module: nn.Module, call: nn.Module, processes: Processes, sharding: Sharding) -> None:
        self.module, self.call, self.processes, self.sharding = module, call, processes, sharding
        self._sharded = [part for part in module.modules() if isinstance(part, FSDPModule)]

    def accumulating(self, last: bool) -> AbstractContextManager[None]:
        """Around the backward pass of a microbatch: ranks exchange gradients at the last one only."""
        if last:
            return nullcontext()
        if isinstance(self.call, DistributedDataParallel):
            return self.call.no_sync()
        return self._unsynchronised() if self._sharded else nullcontext()

    def gather_free(self) -> None:
        """Gives back what forward passes have gathered: parameters are shards again, as their averages are."""
        for part in self._sharded:
            part.reshard()

    @contextmanager
    def _unsynchronised(self) -> Generator[None]:
        for part in self._sharded:
            part.set_requires_gradient_sync(False, recurse=False)
        try:
            yield
        finally:
            for part in self._sharded:
                part.set_requires_gradient_sync(True, recurse=False)


def alone(module: nn.Module, device: torch.device) -> Parallel:
    """The module of a run of one process."""
    return Parallel(module, module, Processes(device), "none")


def parallel(
    module: nn.Module,
    averages: Sequence[AveragedPair],
    processes: Processes,
    sharding: Sharding,
    *,
    low_precision: bool = False,
    mesh: DeviceMesh | None = None,
    compare: bool = True,
) -> Parallel:
    """Wraps `module` for the processes of the default group.

    `low_precision`: blocks compute and gather in bfloat16; gradients are summed in float32. `mesh` is that of
    `device_mesh` unless given (a dry run makes it where tensors have content). `compare`: DistributedDataParallel looks
    whether all ranks have the same parameters, and gives them those of rank 0.

    Raises TrainingFault (M3I0730): `fsdp` or `hsdp` with one process, `hsdp` on one machine.
    """
    if sharding != "none":
        mesh = device_mesh(processes, sharding) if mesh is None else mesh
        shard(module, averages, mesh, low_precision=low_precision)
        return Parallel(module, module, processes, sharding)
    if processes.size == 1:
        return Parallel(module, module, processes, sharding)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        return Parallel(module, module, processes, sharding)
    # Statistics are those of all ranks already. torch 2.14 has a new name for the setting.
    named = inspect.signature(DistributedDataParallel).parameters
    setting = "forward_sync_buffers" if "forward_sync_buffers" in named else "broadcast_buffers"
    buffers: Any = {setting: False}
    wrapped = DistributedDataParallel(
        module,
        device_ids=[processes.device.index] if processes.device.type == "cuda" else None,
        gradient_as_bucket_view=True,
        init_sync=compare,
        **buffers,
    )
    return Parallel(module, wrapped, processes, sharding)


def check_sharding(processes: Processes, sharding: Sharding) -> None:
    """Raises TrainingFault (M3I0730): `fsdp` or `hsdp` with one process, `hsdp` on one machine."""
    if sharding == "none":
        return
    if processes.size == 1:
        raise TrainingFault(
            LAUNCH,
            f"`--shard {sharding}` needs more than one process",
            helps=("add `--nproc-per-node N`, or train without `--shard`",),
        )
    machines, rest = divmod(processes.size, processes.local_size)
    if sharding == "hsdp" and (machines < 2 or rest):
        raise TrainingFault(
            LAUNCH,
            f"`--shard hsdp` shards within a machine and replicates over machines, and {processes.size} processes of "
            f"{processes.local_size} a machine are not several equal ones",
            helps=("use `--shard fsdp`",),
        )


def device_mesh(processes: Processes, sharding: Sharding) -> DeviceMesh:
    """One dimension over all ranks for `fsdp`; for `hsdp` replicas (machines) x shards (the processes of each).

    Raises TrainingFault as `check_sharding` does.
    """
    check_sharding(processes, sharding)
    kind = processes.device.type
    if sharding == "fsdp":
        return init_device_mesh(kind, (processes.size,), mesh_dim_names=("shard",))
    machines = processes.size // processes.local_size
    return init_device_mesh(kind, (machines, processes.local_size), mesh_dim_names=("replicate", "shard"))


@dataclass(frozen=True, slots=True)
class Unit:
    """What is gathered at once. `low_precision` ones are gathered in bfloat16 where the recipe computes in it."""

    module: nn.Module
    low_precision: bool


def units(module: nn.Module, averages: Sequence[AveragedPair]) -> list[Unit]:
    """Each transformer block, each average and the rest, in this order; a parameter is of the first that holds it."""
    averaged = {id(pair.average): pair.average for pair in averages}
    return [
        *(Unit(block, True) for block in transformer_blocks(module)),
        *(Unit(average, False) for average in averaged.values() if any(True for _ in average.parameters())),
        Unit(module, False),
    ]


def shard(module: nn.Module, averages: Sequence[AveragedPair], mesh: DeviceMesh, *, low_precision: bool) -> None:
    """Each unit for itself, in place.

    An average gives back what a forward pass has gathered, for it moves as shards; of the student's blocks the backward
    pass comes soon, but for the memory of deep models they are given back, too.
    """
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    module.register_forward_hook(_keep_parameters)  # before that of FSDP2, which frees what was gathered
    for unit in units(module, averages):
        # Said of the root as well, which keeps what it has gathered if nothing is said.
        fully_shard(
            unit.module,
            mesh=mesh,
            reshard_after_forward=True,
            shard_placement_fn=placement(mesh.size(-1)),
            mp_policy=policy if low_precision and unit.low_precision else MixedPrecisionPolicy(),
        )
    for part in module.modules():
        if isinstance(part, GradNormWeighting):
            part.probing = partial(_kept_whole, [part for part in module.modules() if isinstance(part, FSDPModule)])


@contextmanager
def _kept_whole(sharded: Sequence[FSDPModule]) -> Generator[None]:
    """Around a backward pass within a forward pass: what is gathered stays, for both go on with it."""
    for part in sharded:
        part.set_reshard_after_backward(False, recurse=False)
        part.set_is_last_backward(False)
    try:
        yield
    finally:
        for part in sharded:
            part.set_reshard_after_backward(True, recurse=False)
            part.set_is_last_backward(True)


def _keep_parameters(module: nn.Module, _: object, outputs: Any) -> None:
    """A representation may be a parameter itself (a table of categories): the monitors get a copy that stays."""
    whole = [parameter for parameter in module.parameters() if not isinstance(parameter, DTensor)]
    gathered = {_storage(parameter) for parameter in whole}
    kept: dict[str, Tensor] = outputs.get("representations", {})
    for name, value in kept.items():
        if _storage(value) in gathered:
            kept[name] = value.clone()


def _storage(tensor: Tensor) -> int:
    """What tells a storage from every other, without content too; torch has no public name for it."""
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]


def placement(shards: int) -> Callable[[nn.Parameter], Shard | None]:
    """Along which dimension a parameter is cut into `shards`: the first, where FSDP2 fills up what is missing.

    A position table [1, N, D] would be sent `shards` times as large as it is. Where filling up at least doubles a
    parameter, it is cut along a dimension that can be divided evenly (FSDP2 asks for that), if it has one.
    """

    def place(parameter: nn.Parameter) -> Shard | None:
        rows, *others = parameter.shape
        if -(-rows // shards) * shards < 2 * rows:
            return None
        even = [dimension for dimension, size in enumerate(others, start=1) if size % shards == 0]
        return Shard(even[-1]) if even else None

    return place
