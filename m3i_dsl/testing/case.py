"""What the properties are tested on: a tiny version of a recipe, ready to run.

Takes: a checked program, and perhaps an edit of its graph. Gives: `Case`. Guarantees: a property gets copies, so that
none sees what another did; the same seed gives the same weights and batches.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, fx

from m3i_dsl.ir.build import build
from m3i_dsl.ir.graph import Graph
from m3i_dsl.lower.executable import Executable, lower
from m3i_dsl.passes import optimize
from m3i_dsl.semantics.program import Program
from m3i_dsl.testing.batches import synthetic_batch
from m3i_dsl.testing.tiny import tiny
from m3i_dsl.vocabulary.draws import key_of
from m3i_dsl.vocabulary.modalities.category import EXAMPLES

Edit = Callable[[Graph], Graph]

MOVED = 0.1
"""Parameters are moved by this much noise: no zero bias and no average that equals its source hides a fault."""


@dataclass(frozen=True)
class Case:
    """A tiny recipe: `executable` is what is tested, `program` what it is meant to compute."""

    program: Program
    executable: Executable
    seed: int = 0

    def copy(self, dtype: torch.dtype = torch.float64, *, moved: bool = True) -> Executable:
        """The executable, in training mode; `moved` by noise, the same for a parameter of the same name."""
        return _copied(self._moved if moved else self.executable, dtype)

    def plain(self) -> Executable:
        """The same for the graph before the passes, as the recipe is defined."""
        return _moved(lowered(self.program, build(self.program)), self.seed)

    def batch(self, number: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
        """A synthetic batch."""
        return synthetic_batch(self.executable, self.seed * 1000 + number, dtype)

    @functools.cached_property
    def _moved(self) -> Executable:
        return _moved(self.executable, self.seed)


def _copied(executable: Executable, dtype: torch.dtype) -> Executable:
    module, averages = copy.deepcopy((executable.module, executable.averages))
    module.to(dtype).train()
    return replace(executable, module=module, averages=averages)


def _moved(executable: Executable, seed: int) -> Executable:
    """A copy in float64 in which every parameter is moved by noise of its own."""
    moved = _copied(executable, torch.float64)
    with torch.no_grad():
        for name, parameter in moved.module.named_parameters():
            generator = torch.Generator().manual_seed(key_of(f"{name}\0{seed}") % 2**63)
            parameter.add_(MOVED * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return moved


def case_of(program: Program, *, seed: int = 0, edit: Edit | None = None) -> Case:
    """The case of a recipe. `edit` changes the graph after the passes: to test a change, or that a fault is found.

    Raises WordError and PartFault when a part cannot be built.
    """
    small = tiny(program)
    graph = optimize(build(small), small.training.batch)
    return Case(small, lowered(small, graph if edit is None else edit(graph)), seed)


def lowered(program: Program, graph: Graph) -> Executable:
    """The executable of a graph of a tiny program."""
    categories = dict.fromkeys((*program.data, *program.mixtures), EXAMPLES)
    return lower(program, graph, categories=categories, base=Path(), load_weights=False)


def step(executable: Executable, batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """The outputs of one forward pass; reads the inputs that the executable has."""
    module: fx.GraphModule = executable.module
    return cast(dict[str, Any], module(**{input_.name: batch[input_.name] for input_ in executable.inputs}))
