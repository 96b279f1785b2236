"""Two processes send, byte by byte, what the plan of their recipe says.

Annotations are values here: DistributedDataParallel reads those of its hook.
"""

import math
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from m3i_dsl.plan.exchanges import Operation, Purpose, Sum, summed
from m3i_dsl.plan.fake_copy import fake_copy
from m3i_dsl.plan.observer import CollectiveObserver
from m3i_dsl.plan.traffic import World, traffic_of
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.wrapping import Sharding, parallel
from tests.distributed.invariance import case_named
from tests.distributed.processes import ONE_WORKER, run
from tests.distributed.steps import CPU, rows, step_of

pytestmark = ONE_WORKER

Bucket = dist.GradBucket  # pyright: ignore[reportPrivateImportUsage]
Sums = dict[tuple[Purpose, Operation], Sum]


def sent(recipe: str, sharding: Sharding) -> Sums:
    """In the third step: before the second one DistributedDataParallel puts its buckets in the order of gradients."""
    rank, size = dist.get_rank(), dist.get_world_size()
    of = case_named(recipe)
    executable = of.copy(torch.float32)
    spread = parallel(executable.module, executable.averages, Processes(CPU, rank, size), sharding)
    observer = CollectiveObserver()

    def told(state: Any, bucket: Bucket) -> torch.futures.Future[torch.Tensor]:
        observer.marked(bucket.buffer(), "gradients")
        return allreduce_hook(state, bucket)

    if isinstance(spread.call, DistributedDataParallel):
        # It does what is done without a hook, but from Python, where it can be seen.
        spread.call.register_comm_hook(None, told)
    step = step_of(executable, spread)
    for number in range(2):
        step(number, rows(of.batch(number, torch.float32), rank, size))
    with observer:
        step(2, rows(of.batch(2, torch.float32), rank, size))
    return summed(observer.exchanges)


def planned(recipe: str, sharding: Sharding, size: int) -> Sums:
    executable = case_named(recipe).copy(torch.float32)
    fake = fake_copy(executable, executable.program.training.batch // size)
    return summed(traffic_of(fake, World(size, size, sharding)).exchanges)


@pytest.mark.parametrize(
    ("recipe", "sharding", "purposes"),
    [
        ("m3i", "none", {"gradients", "statistics"}),
        ("clip", "none", {"gradients", "candidates", "statistics"}),
        ("barlow_twins", "none", {"gradients", "statistics"}),
        ("simclr", "none", {"gradients", "candidates", "statistics"}),
        ("m3i", "fsdp", {"parameters", "gradients", "statistics"}),
        ("moco_v3", "fsdp", {"parameters", "gradients", "candidates", "statistics"}),
    ],
)
def test_bytes_of_two_processes_are_those_of_the_plan(recipe: str, sharding: Sharding, purposes: set[str]) -> None:
    expected = planned(recipe, sharding, 2)
    assert {purpose for purpose, _ in expected} == purposes
    assert run(sent, recipe, sharding) == [expected, expected]


def test_without_shards_a_process_receives_every_gradient_twice_over_two() -> None:
    """2 (W - 1) / W of four bytes for each scalar: one number that is counted by hand."""
    module = case_named("m3i").executable.module
    scalars = sum(math.prod(parameter.shape) for parameter in module.parameters() if parameter.requires_grad)
    assert planned("m3i", "none", 2)["gradients", "all-reduce"].received == 4 * scalars
