"""Three training steps, by the package and by hand.

Takes: an executable and three batches. Gives: its parameters and buffers afterwards. By the package: the optimizer
through its word, `runtime.step` and `runtime.ema`. By hand: the loss of the reference, clipping, schedule and optimizer
as the method has them (`updates`), averages by their formula, on deep-copied modules. Guarantees: the two share no code
but the autograd of torch.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from m3i_dsl.lower.executable import Executable
from m3i_dsl.runtime.distributed.wrapping import alone
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.runtime.guard import Guard
from m3i_dsl.runtime.precision import precision_for
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.runtime.schedule import LearningRate
from m3i_dsl.runtime.step import TrainingStep
from m3i_dsl.vocabulary.values import steps_of
from tests.numerics.comparison import reference_step
from tests.numerics.methods import Method
from tests.numerics.recipes import BATCH
from tests.numerics.updates import Optimizer

STEPS = 3
TOTAL = 4
"""Steps that schedule and momentum are stretched over: the three come before the end."""

WARMUP = 2
Batches = Sequence[Mapping[str, Tensor]]


@dataclass(frozen=True)
class State:
    """After training; losses of each step."""

    losses: tuple[float, ...]
    parameters: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]


def train(executable: Executable, batches: Batches, microbatches: int = 1) -> State:
    """As `m3ic train --accumulate MICROBATCHES` does it."""
    module, averages = copy.deepcopy((executable.module, executable.averages))
    executable = replace(executable, module=module, averages=averages)
    training = executable.program.training
    cpu = torch.device("cpu")
    duration = partial(steps_of, steps_per_epoch=TOTAL, batch=training.batch, total=TOTAL)
    step = TrainingStep(
        alone(module, cpu),
        training.optimizer.word.build(module, training.batch),
        MovingAverages(averages, TOTAL, duration),
        LearningRate(WARMUP, TOTAL, training.schedule.word),
        Guard(module, cpu, deferred=False),
        precision_for(training.precision, cpu),
        scalars=Scalars(module, TOTAL, duration),
        clip=training.clip,
        decay=training.optimizer.word.decay_ramp(),
        microbatches=microbatches,
    )
    losses = [step(number, batch).loss.item() for number, batch in enumerate(batches)]
    return _state(module, losses)


def train_by_hand(executable: Executable, method: Method, batches: Batches) -> State:
    """Each step by `updates`: gradients clipped, warmup, schedule, the method's optimizer; then the averages."""
    module = copy.deepcopy(executable.module)
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    optimizer = Optimizer(method.update, BATCH, WARMUP, TOTAL)
    losses: list[float] = []
    for number, batch in enumerate(batches):
        module.zero_grad(set_to_none=True)
        loss, _ = reference_step(module, executable, method, batch, number, TOTAL)
        loss.backward()
        losses.append(loss.item())
        gradients = {name: parameter.grad for name, parameter in trained.items() if parameter.grad is not None}
        if number < method.held:
            gradients = {name: gradient for name, gradient in gradients.items() if "prototypes." not in name}
        optimizer.step(number, trained, gradients)
        _follow(module, executable, method, number / TOTAL)
    return _state(module, losses)


def _follow(module: nn.Module, executable: Executable, method: Method, progress: float) -> None:
    """phi <- mu phi + (1 - mu) theta, for every averaged encoder and its projector; parameters only."""
    parameters = dict(module.named_parameters())
    for encoder in executable.program.encoders.values():
        if encoder.of is None or method.momentum is None:
            continue
        mu = method.momentum(progress)
        for name, average in parameters.items():
            match = re.fullmatch(rf"(encoders|projectors)\.{encoder.name}\.module\.(.*)", name)
            if match:
                kept = 0.0 if method.update.apart and method.update.apart in name else mu
                source = parameters[f"{match[1]}.{encoder.of}.{match[2]}"]
                with torch.no_grad():
                    average.copy_(kept * average + (1 - kept) * source)


def _state(module: nn.Module, losses: list[float]) -> State:
    parameters = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    return State(tuple(losses), parameters, {name: buffer.clone() for name, buffer in module.named_buffers()})
