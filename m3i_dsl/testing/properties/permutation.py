"""Permutation equivariance: the order of the samples in a batch means nothing.

Permuting the samples (the pairs, where images are mixed; the periods of a mixture) permutes every representation and
leaves every loss.
"""

from __future__ import annotations

import torch

from m3i_dsl.ir.dimensions import batches_in
from m3i_dsl.ir.effects import module_effects
from m3i_dsl.testing.captured import Captured
from m3i_dsl.testing.case import Case
from m3i_dsl.testing.comparison import Disagreement, agree
from m3i_dsl.testing.outcome import Failed, NotApplicable, Property
from m3i_dsl.vocabulary.word import Effect

ABSOLUTE = 1e-11
"""Sums over the batch are made in another order."""


def _check(case: Case) -> str:
    require_determined(case)
    batch = case.batch()
    program = case.program
    cycle = _cycle(program.training.batch // program.unit, case.seed)
    what = program.unit_name
    executable = case.copy()
    one = Captured(executable, batch)
    other = Captured(case.copy(), {name: _permuted(value, cycle) for name, value in batch.items()})
    compared = 0
    for name, value in executable.graph.outputs:
        expected = one.output(name)
        if value.type.dimensions and batches_in(value.type.dimensions[0]) is not None:
            expected = _permuted(expected, cycle)
        try:
            agree(f"`{name}`", other.output(name), expected, ABSOLUTE * (1 + float(expected.detach().abs().max())))
        except Disagreement as fault:
            raise Failed(f"permuting the {what} of a batch changes {fault}", case.program.span) from None
        compared += 1
    return f"{compared} outputs, {what} permuted"


def require_determined(case: Case) -> None:
    """Raises NotApplicable when a step draws random numbers of its own."""
    for module in case.executable.graph.modules:
        if Effect.RANDOM in module_effects(module, case.executable.graph):
            raise NotApplicable(f"`{module.word.name}` draws random numbers ({module.place})")


def _cycle(units: int, seed: int) -> torch.Tensor:
    """A permutation that moves every unit of a batch."""
    cycle = torch.randperm(units, generator=torch.Generator().manual_seed(seed))
    order = torch.empty_like(cycle)
    order[cycle] = cycle.roll(1)
    return order


def _permuted(value: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """`value` [B, ...], or a fixed part of a batch, with its units in another order."""
    return value.unflatten(0, (len(order), -1))[order].flatten(0, 1)


PERMUTATION = Property("permutation", "the order of the samples in a batch means nothing", _check)
