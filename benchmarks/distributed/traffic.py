"""What ranks send in a step, observed, next to what the plan says.

Takes: a member that has made some steps. Gives: a line for each kind of collective. Guarantees: what is observed are
the tensors that reach torch.distributed and the buckets that DistributedDataParallel reduces, of a real step; what is
planned is counted on a module without content, by the code of `m3ic plan`.

Annotations are values here: DistributedDataParallel reads those of its hook.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from benchmarks.distributed.member import Member
from m3i_dsl.lower.executable import Executable
from m3i_dsl.plan.exchanges import Operation, Purpose, Sum, summed
from m3i_dsl.plan.fake_copy import fake_copy
from m3i_dsl.plan.observer import CollectiveObserver
from m3i_dsl.plan.traffic import World, traffic_of
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.wrapping import Sharding

_Bucket = dist.GradBucket  # pyright: ignore[reportPrivateImportUsage]


@dataclass(frozen=True, slots=True)
class Line:
    """Calls, and bytes that a rank receives in them, of one kind."""

    purpose: str
    operation: str
    observed: Sum
    planned: Sum


def traffic(member: Member, executable: Executable, processes: Processes, sharding: Sharding) -> tuple[Line, ...]:
    """Makes one more step of `member`, which has made two or more; `executable` is that of the global batch."""
    observed = _observed(member)
    planned = _planned(executable, processes.size, sharding)
    return tuple(
        Line(*key, observed=observed.get(key, Sum()), planned=planned.get(key, Sum())) for key in planned | observed
    )


def _observed(member: Member) -> dict[tuple[Purpose, Operation], Sum]:
    observer = CollectiveObserver()

    def told(state: Any, bucket: _Bucket) -> torch.futures.Future[torch.Tensor]:
        observer.marked(bucket.buffer(), "gradients")
        return allreduce_hook(state, bucket)

    if isinstance(member.parallel.call, DistributedDataParallel):
        # It does what is done without a hook, but from Python, where it can be seen.
        member.parallel.call.register_comm_hook(None, told)
    with observer:
        member.bare()
    return summed(observer.exchanges)


def _planned(executable: Executable, size: int, sharding: Sharding) -> dict[tuple[Purpose, Operation], Sum]:
    training = executable.program.training
    fake = fake_copy(executable, training.batch // size)
    return summed(traffic_of(fake, World(size, size, sharding)).exchanges)
