"""Training steps of a tiny recipe in float64, by one process or as one of several.

Runs in the processes of `tests.distributed.processes`: what it returns is plain tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from m3i_dsl.collectives.sharded import whole
from m3i_dsl.lower.executable import Executable
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.wrapping import Parallel, Sharding, parallel
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.runtime.guard import Guard
from m3i_dsl.runtime.precision import Precision
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.runtime.schedule import LearningRate
from m3i_dsl.runtime.state import seed_random
from m3i_dsl.runtime.step import TrainingStep
from m3i_dsl.vocabulary.kinds import Optimizer
from m3i_dsl.vocabulary.values import Clip
from tests.distributed.invariance import case_named

CPU = torch.device("cpu")
TOTAL = 10


@dataclass(frozen=True, slots=True)
class After:
    """What several steps have left: losses (mean over ranks by the caller), whole parameters and buffers."""

    losses: list[float]
    norms: list[float]
    state: dict[str, Tensor]


def steps(
    recipe: str,
    sharding: Sharding = "none",
    *,
    rank: int = 0,
    size: int = 1,
    count: int = 3,
    optimizer: Optimizer | None = None,
) -> After:
    """`count` steps on the rows of `rank`; `hsdp` is over `size` machines of one process each, or two and two.

    `optimizer` stands in place of the recipe's.
    """
    of = case_named(recipe)
    executable = of.copy()
    seed_random(0)
    processes = Processes(CPU, rank, size)
    mesh = None
    if sharding == "hsdp":
        mesh = init_device_mesh("cpu", (2, size // 2), mesh_dim_names=("replicate", "shard"))
    spread = parallel(executable.module, executable.averages, processes, sharding, mesh=mesh)
    step = step_of(executable, spread, optimizer)
    losses: list[float] = []
    norms: list[float] = []
    for number in range(count):
        output = step(number, rows(of.batch(number), rank, size))
        losses.append(float(output.loss))
        norms.append(float(output.gradient_norm))
    return After(losses, norms, state(executable.module))


def rows(batch: dict[str, Tensor], rank: int, size: int) -> dict[str, Tensor]:
    """The slice of a global batch that one rank is given."""
    return {name: value.chunk(size)[rank] for name, value in batch.items()}


def state(module: nn.Module) -> dict[str, Tensor]:
    """All that is in the state dict, whole, under the module's own names."""
    return {name: whole(value.detach()).clone() for name, value in module.state_dict().items()}


def step_of(executable: Executable, spread: Parallel, optimizer: Optimizer | None = None) -> TrainingStep:
    """The step of a run of `TOTAL` steps."""
    training = executable.program.training
    return TrainingStep(
        spread,
        (optimizer or training.optimizer.word).build(spread.module, training.batch),
        MovingAverages(executable.averages, TOTAL, lambda _: TOTAL),
        LearningRate(1, TOTAL, training.schedule.word),
        Guard(spread.module, CPU, deferred=False, shared=spread.processes.size > 1),
        Precision("fp32", CPU),
        scalars=Scalars(spread.module, TOTAL, lambda _: TOTAL),
        clip=Clip(1.0),
        decay=None,
        microbatches=1,
    )
