"""One training step of a world that is not there.

Takes: an executable, a number of processes and a way to shard. Gives: the collectives of a step of one of them.
Guarantees: it is the step of a run (forward, backward, norm, clip, optimizer, averages), through the wrapping of a run,
on torch's fake process group, whose collectives do nothing, and fake tensors; nothing is allocated or computed.

It is the first step: before its second one DistributedDataParallel reads what tensors contain, to put its buckets in
the order in which gradients came. Annotations are values here, for it reads those of its hook.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import DeviceMesh
from torch.nn.parallel import DistributedDataParallel
from torch.testing._internal.distributed.fake_pg import FakeStore  # torch has no public name for the fake backend's

from m3i_dsl.lower.executable import Executable
from m3i_dsl.plan.exchanges import Exchange
from m3i_dsl.plan.fake_copy import examples, without_content
from m3i_dsl.plan.observer import CollectiveObserver
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.wrapping import Sharding, device_mesh, parallel
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.runtime.guard import Guard
from m3i_dsl.runtime.precision import Precision
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.runtime.schedule import LearningRate
from m3i_dsl.runtime.step import TrainingStep

_Bucket = dist.GradBucket  # pyright: ignore[reportPrivateImportUsage]
_CPU = torch.device("cpu")
_TOTAL = 2
"""Steps of the training, of which the second is observed: by then all that is held still at the start moves."""


def observe(executable: Executable, world: int, local_batch: int, sharding: Sharding, machine: int) -> list[Exchange]:
    """The collectives of a step of rank 0 of `world` processes, `machine` of them on each machine.

    Raises TrainingFault (M3I0730) when so many cannot be sharded so, and RuntimeError inside of a process group.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)  # those on `meta`, before they are on the device
    with _fake_group(world, machine) as processes:
        # The mesh reads tensors, so it is made outside of the mode.
        mesh = None if sharding == "none" else device_mesh(processes, sharding)
        with mode:
            batch = examples(executable, local_batch)
        step, observer = _step(executable, processes, sharding, mesh, mode)
        with mode, observer:
            step(1, batch)
        return observer.exchanges


@contextmanager
def _fake_group(world: int, machine: int) -> Generator[Processes]:
    if dist.is_initialized():
        raise RuntimeError("a dry run makes a process group of its own, and this process is in one")
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=world)
    try:
        yield Processes(_CPU, 0, world, min(machine, world))
    finally:
        dist.destroy_process_group()


def _step(
    executable: Executable, processes: Processes, sharding: Sharding, mesh: DeviceMesh | None, mode: FakeTensorMode
) -> tuple[TrainingStep, CollectiveObserver]:
    training = executable.program.training
    bf16 = training.precision == "bf16"
    # On `meta` first: to cut a parameter into hundreds of fake tensors takes minutes.
    module, averages = without_content(executable, torch.device("meta"))
    observer = CollectiveObserver()
    if mesh is not None:
        spread = parallel(module, averages, processes, sharding, low_precision=bf16, mesh=mesh)
        with mode:
            module.to_empty(device=_CPU)
    else:
        with mode:
            spread = parallel(module.to_empty(device=_CPU), averages, processes, sharding, compare=False)
        if isinstance(spread.call, DistributedDataParallel):
            # Of the fake group it would get no result; from a hook it takes the bucket as it is.
            spread.call.register_comm_hook(observer, _reduced)
    with mode:
        step = TrainingStep(
            spread,
            training.optimizer.word.build(module, training.batch),
            MovingAverages(averages, _TOTAL, lambda _: _TOTAL),
            LearningRate(0, _TOTAL, training.schedule.word),
            _Blind(module, _CPU, deferred=True, shared=True),
            Precision(training.precision, _CPU),
            scalars=Scalars(module, _TOTAL, lambda _: 1),
            clip=training.clip,
            decay=training.optimizer.word.decay_ramp(),
            microbatches=1,
        )
    return step, observer


def _reduced(observer: Any, bucket: _Bucket) -> torch.futures.Future[torch.Tensor]:
    observer.marked(bucket.buffer(), "gradients")
    dist.all_reduce(bucket.buffer())
    result: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    result.set_result(bucket.buffer())
    return result


class _Blind(Guard):
    """The guard of a run on an accelerator, whose answer nobody can read: nothing has content."""

    def poll(self) -> None:
        """There is nothing to ask."""
