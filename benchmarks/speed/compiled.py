"""The side of m3ic: a benchmark recipe, compiled, and its training step.

Takes: the text of a recipe and a `Size`. Gives: the executable, a batch of noise for its inputs and the step that
`m3ic train` runs. Guarantees: masks come from the recipe's own words, so every side hides the same tokens; captions of
a batch all differ, so that counting repeated ones once changes nothing; no file but the recipe's is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed.size import Size
from m3i_dsl.driver import Compiled, check_file, compile_program
from m3i_dsl.ir.graph import Graph
from m3i_dsl.ir.inputs import BatchInput, FieldInput, GeometryInput, MaskInput, ViewInput
from m3i_dsl.lower.executable import Executable, lower
from m3i_dsl.runtime.distributed.wrapping import alone
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.runtime.guard import Guard
from m3i_dsl.runtime.precision import precision_for
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.runtime.schedule import LearningRate
from m3i_dsl.runtime.step import TrainingStep, can_skip
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import parse_value
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.values import steps_of

RECIPES = Path(__file__).with_name("recipes")

STEPS = 1_000_000
"""The length of a run that never ends, for what depends on progress."""

CATEGORIES = 10
BYTES = 256


@dataclass(frozen=True, slots=True)
class Recipe:
    """A compiled benchmark recipe and a batch for it."""

    compiled: Compiled
    batch: Mapping[str, Tensor]

    @property
    def executable(self) -> Executable:
        return self.compiled.executable

    def naive(self) -> Executable:
        """The same program with every target computed on its own: no pass has run; the weights are the same."""
        return self._lowered(self.compiled.plain)

    def _lowered(self, graph: Graph) -> Executable:
        categories = {name: len(found.categories) for name, found in self.compiled.lock.data.items()}
        return lower(self.compiled.program, graph, categories=categories, base=RECIPES)


def recipe_text(name: str) -> str:
    """The text of benchmarks/speed/recipes/NAME.m3i."""
    return (RECIPES / f"{name}.m3i").read_text(encoding="utf-8")


def compile_recipe(
    text: str, size: Size, *, precision: Literal["fp32", "bf16"] = "fp32", device: str = "cpu"
) -> Recipe:
    """Compiles `text` with the size's settings and batch; the modules are built on `device`. Raises RecipeError."""
    file = SourceFile(str(RECIPES / "benchmark.m3i"), text)
    program = sized(file, size.settings, batch=size.batch, precision=precision)
    with torch.device(device):
        compiled = compile_program(program, RECIPES)
    inputs = compiled.executable.inputs
    return Recipe(compiled, {input_.name: example(input_, size, seed) for seed, input_ in enumerate(inputs)})


def sized(file: SourceFile, settings: Mapping[str, str], *, batch: int, precision: Literal["fp32", "bf16"]) -> Program:
    """The program of `file` with those of `settings` that it has parameters for. Raises RecipeError."""
    known = check_file(file).required().parameters
    values = {key: parse_value(value, f"<{key}>") for key, value in settings.items() if key in known}
    program = check_file(file, values).required()
    return replace(program, training=replace(program.training, batch=batch, precision=precision))


def example(input_: BatchInput, size: Size, seed: int) -> Tensor:
    """Noise of the form that the data stage would give for an input."""
    generator = torch.Generator().manual_seed(seed)
    match input_:
        case ViewInput():
            return torch.randn(size.batch, 3, size.size, size.size, generator=generator)
        case GeometryInput():
            unit = torch.rand(size.batch, 5, generator=generator)
            top, left, height, width = (unit[:, :4] * torch.tensor([30.0, 30, 30, 30])).unbind(dim=1)
            flip = (unit[:, 4] < 0.5).float()
            return torch.stack([top, left, 40 + height, 40 + width, flip, torch.full_like(top, 100)], dim=1)
        case MaskInput():
            draws = Draws(seed, 0, np.arange(size.batch), input_.slot)
            return torch.from_numpy(input_.mask.sample(draws, input_.grid, input_.stride))
        case FieldInput() if input_.by is not None:
            tokens = torch.randint(1, BYTES + 1, (size.batch, size.context), generator=generator)
            length = torch.randint(size.context // 2, size.context + 1, (size.batch, 1), generator=generator)
            ended = tokens.masked_fill(torch.arange(size.context) == length - 1, BYTES + 2)
            return ended.masked_fill(torch.arange(size.context) >= length, 0)
        case FieldInput():
            return torch.randint(0, CATEGORIES, (size.batch,), generator=generator)


class CompiledStep:
    """One call is one step of `m3ic train`, on the same batch each time."""

    def __init__(self, executable: Executable, batch: Mapping[str, Tensor], device: str = "cpu") -> None:
        training = executable.program.training
        self.batch = {name: value.to(device) for name, value in batch.items()}
        self.module = executable.module.to(device).train()
        self.optimizer = training.optimizer.word.build(self.module, training.batch)
        duration = partial(steps_of, steps_per_epoch=STEPS, batch=training.batch, total=STEPS)
        self.averages = MovingAverages(executable.averages, STEPS, duration)
        self.precision = precision_for(training.precision, torch.device(device))
        where = torch.device(device)
        self.step = TrainingStep(
            alone(self.module, where),
            self.optimizer,
            self.averages,
            LearningRate(0, STEPS, training.schedule.word),
            Guard(self.module, where, deferred=where.type == "cuda" and can_skip(self.optimizer)),
            self.precision,
            scalars=Scalars(self.module, STEPS, duration),
            clip=training.clip,
            decay=training.optimizer.word.decay_ramp(),
            microbatches=1,
        )
        self.done = 0

    def __call__(self) -> Tensor:
        """The loss before the step."""
        output = self.step(self.done, self.batch)
        self.done += 1
        return output.loss

    def bare(self) -> Tensor:
        """The least that trains the same weights: no guard, no gradient norm, no schedule."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision.context():
            loss: Tensor = self.module(**self.batch)["loss"]
        loss.backward()
        self.optimizer.step()
        self.averages.update(self.done)
        self.done += 1
        return loss.detach()


def trained_parameters(module: torch.nn.Module) -> int:
    """How many numbers an optimizer moves."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
