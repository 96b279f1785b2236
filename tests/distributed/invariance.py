"""Two training steps of tiny recipes, as one of several processes.

Takes: the name of a variant, a number of microbatches, and perhaps a fault to plant. Gives: all that the steps yield or
change. Guarantees: the wrapper, the step and the averages are those of `m3ic train`; the global batch is the
same whatever the number of processes, each has its rows; float64. The optimizer is SGD: Adam divides by the size of a
gradient, and would make a step out of the rounding of one that vanishes.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from m3i_dsl.collectives import gather, mean, world
from m3i_dsl.lower.executable import Executable
from m3i_dsl.modules import assignments, batch_norm, boltzmann, penalties, queue, weightings
from m3i_dsl.runtime.coupled import batch_coupled
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.wrapping import parallel
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.runtime.guard import Guard
from m3i_dsl.runtime.precision import precision_for
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.runtime.schedule import LearningRate
from m3i_dsl.runtime.step import StepOutput, TrainingStep
from m3i_dsl.testing import Case, case_of
from m3i_dsl.vocabulary.values import steps_of
from tests.numerics.recipes import ROOT, recipe_names
from tests.testing.recipes import program

STEPS = 2
TOTAL = 4


@dataclass(frozen=True, slots=True)
class Variant:
    """A recipe with some words replaced; with `chunked`, losses go through chunks of rows."""

    recipe: str
    words: tuple[tuple[str, str], ...] = ()
    chunked: bool = False


_MIXTURE = """
param size = 32px
data captioned = embedded("digits")
data others    = folder("others", canvas: 32px)
data images    = mixture(captioned: 1, others: 1)
view view1 of images.image = crop(size)
"""
"""Half of the rows have texts: each process has candidates of its own rows and of those of the others."""

_ENCODERS = """
encoder image = timm("vit_tiny_patch16_224", image: size, patch: 8px, width: 96, depth: 2, heads: 3)
encoder words = transformer(width: 96, layers: 2, heads: 3, context: 40)
"""

VARIANTS: Mapping[str, Variant] = {name: Variant(name) for name in recipe_names()} | {
    "m3i, lossnorm": Variant("m3i", (("weighting likelihood", "weighting lossnorm"),)),
    "m3i, gradnorm": Variant("m3i", (("weighting likelihood", "weighting gradnorm"),)),
    "clip, chunked": Variant("clip", chunked=True),
    "moco_v3, chunked": Variant("moco_v3", chunked=True),
    "densecl, chunked": Variant("densecl", chunked=True),
    "dense contrast, learned temperature": Variant(
        "table/10_dense_instance_discrimination", (("temperature: 0.2", "temperature: learned 0.2"),)
    ),
    "clip, mixture": Variant("table/02_clip", (('use "../data.m3i"', _MIXTURE), ('use "../encoders.m3i"', _ENCODERS))),
    "contrast, both ways": Variant(
        "table/11_instance_discrimination", (("temperature: 0.2", "symmetric: true, temperature: 0.2"),)
    ),
}
"""What recipes do not have."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Of the last of `STEPS` steps, by name. Arrays, for tensors travel between processes as open files."""

    losses: Mapping[str, np.ndarray]
    gradients: Mapping[str, np.ndarray]
    parameters: Mapping[str, np.ndarray]
    """After the step; those of averaged encoders are among them."""
    buffers: Mapping[str, np.ndarray]
    without: tuple[str, ...]
    """Trained parameters that have no gradient."""
    apart: float
    """By how much parameters, gradients and buffers of this process differ from those of rank 0."""


def fits(name: str, processes: int, microbatches: int) -> bool:
    """Whether a variant may be accumulated, and its batch of 8 is shared in whole pairs and periods."""
    case = case_named(name)
    if microbatches > 1 and batch_coupled(case.program):
        return False
    rows, rest = divmod(case.program.training.batch, processes * microbatches)
    pairs = any(objective.mix is not None for objective in case.program.objectives)
    return not rest and (not pairs or rows % 2 == 0) and rows % case.program.unit == 0


@functools.cache
def case_named(name: str) -> Case:
    """The tiny version of a variant."""
    variant = VARIANTS[name]
    text = (ROOT / f"{variant.recipe}.m3i").read_text(encoding="utf-8")
    for old, new in variant.words:
        assert old in text, f"{variant.recipe} has no `{old}`"
        text = text.replace(old, new)
    return case_of(program(text, f"{variant.recipe}.m3i"))


def trained(name: str, microbatches: int = 1, fault: str | None = None) -> Observed:
    """To be run in each process."""
    with planted(fault):
        return _trained(name, microbatches)


def _trained(name: str, microbatches: int) -> Observed:
    case, cpu, here = case_named(name), torch.device("cpu"), world()
    executable = case.copy()
    module, training = executable.module, executable.program.training
    spread = parallel(module, executable.averages, Processes(cpu, here.rank, here.size), "none")
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD([{"params": parameters, "lr": 0.1, "initial_lr": 0.1}])
    # What is held still for an epoch moves in the last step.
    duration = partial(steps_of, steps_per_epoch=STEPS - 1, batch=training.batch, total=TOTAL)
    step = TrainingStep(
        spread,
        optimizer,
        MovingAverages(executable.averages, TOTAL, duration),
        LearningRate(0, TOTAL, training.schedule.word),
        Guard(module, cpu, deferred=False),
        precision_for("fp32", cpu),
        scalars=Scalars(module, TOTAL, duration),
        clip=training.clip,
        decay=None,
        microbatches=microbatches,
    )
    torch.manual_seed(0)
    with ExitStack() as stack:
        if VARIANTS[name].chunked:
            stack.enter_context(mock.patch.object(boltzmann, "LARGEST_WHOLE", 1))
        for number in range(STEPS):
            batch = case.batch(number)
            # A field of a mixture has a part of the rows, the same part for each process.
            output = step(number, {key: value[here.rows(len(value))] for key, value in batch.items()})
    return _observed(executable, output)


def _observed(executable: Executable, output: StepOutput) -> Observed:
    trained_ = [(name, p) for name, p in executable.module.named_parameters() if p.requires_grad]
    gradients = {name: p.grad for name, p in trained_ if p.grad is not None}
    parameters = dict(executable.module.named_parameters())
    buffers = dict(executable.module.named_buffers()) | {"random": torch.get_rng_state()}
    losses = {"loss": output.loss, "gradient norm": output.gradient_norm, **output.losses}
    state = (*gradients.values(), *parameters.values(), *buffers.values())
    everything = torch.cat([tensor.detach().double().flatten() for tensor in state])
    first = gather(everything.unsqueeze(0))[0]
    return Observed(
        {name: mean(value.detach()).numpy() for name, value in losses.items()}
        | {f"weights of {name}": value.detach().numpy() for name, value in output.weights.items()},
        _arrays(gradients),
        _arrays(parameters),
        _arrays(buffers),
        tuple(name for name, parameter in trained_ if parameter.grad is None),
        float((everything - first).abs().max()),
    )


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {} if world().rank else {name: tensor.detach().numpy() for name, tensor in tensors.items()}


# --- faults -----------------------------------------------------------------------------------------------------------


def _silent(x: Tensor) -> Tensor:
    """A gather without gradient, own rows put back in (what many packages do)."""
    whole, here = gather(x.detach()), world()
    return torch.cat([whole[: here.rank * len(x)], x, whole[(here.rank + 1) * len(x) :]])


def _itself(x: Tensor, purpose: str = "") -> Tensor:
    return x


FAULTS: Mapping[str, tuple[Any, str, Any]] = {
    "candidates without gradient": (boltzmann, "gather", _silent),
    "candidates without gradient, in chunks": (boltzmann, "gather", _silent),
    "no offset": (boltzmann, "offset", lambda rows: 0),
    "own keys only": (queue, "gather", _itself),
    "own correlation": (penalties, "mean", _itself),
    "own batch norm": (batch_norm, "gather", _itself),
    "batch norm with the local gradient": (batch_norm, "total", lambda x: x * world().size),
    "own losses": (weightings, "mean", _itself),
    "own gradient norms": (weightings, "total", _itself),
    "own moment": (penalties, "mean", _itself),
    "own centre": (assignments.collectives, "mean", _itself),
}


@contextmanager
def planted(fault: str | None) -> Generator[None]:
    """With `fault` in the package."""
    if fault is None:
        yield
        return
    where, what, instead = FAULTS[fault]
    with mock.patch.object(where, what, instead):
        yield
