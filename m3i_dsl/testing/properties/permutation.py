"""Permutation equivariance: the order of the samples in a batch means nothing.

Permuting the samples (the pairs, where images are mixed) permutes every representation and leaves every loss.
"""

from __future__ import annotations

import torch

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
    pairs = any(objective.mix is not None for objective in case.program.objectives)
    order = _order(case.program.training.batch, pairs, case.seed)
    executable = case.copy()
    one = Captured(executable, batch)
    other = Captured(case.copy(), {name: value[order] for name, value in batch.items()})
    compared = 0
    for name, value in executable.graph.outputs:
        expected = one.output(name)
        if value.type.dimensions[:1] == ("B",):
            expected = expected[order]
        try:
            agree(f"`{name}`", other.output(name), expected, ABSOLUTE * (1 + float(expected.detach().abs().max())))
        except Disagreement as fault:
            what = "pairs of samples" if pairs else "samples"
            raise Failed(f"permuting the {what} of a batch changes {fault}", case.program.span) from None
        compared += 1
    return f"{compared} outputs, {'pairs' if pairs else 'samples'} permuted"


def require_determined(case: Case) -> None:
    """Raises NotApplicable when a step draws random numbers of its own."""
    for module in case.executable.graph.modules:
        if Effect.RANDOM in module_effects(module):
            raise NotApplicable(f"`{module.word.name}` draws random numbers ({module.place})")


def _order(batch: int, pairs: bool, seed: int) -> torch.Tensor:
    """A permutation that moves every sample."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.arange(batch).view(-1, 2) if pairs else torch.arange(batch).view(-1, 1)
    cycle = torch.randperm(len(blocks), generator=generator)
    order = torch.empty_like(cycle)
    order[cycle] = cycle.roll(1)
    return blocks[order].flatten()


PERMUTATION = Property("permutation", "the order of the samples in a batch means nothing", _check)
