"""Accumulation: a batch in microbatches is the batch.

Loss and gradients of the whole batch are the means over its halves, unless a word compares the samples of a batch.
That is also what a batch split over processes relies on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from m3i_dsl.runtime.coupled import batch_coupled
from m3i_dsl.runtime.microbatches import microbatches_of
from m3i_dsl.testing.case import Case, step
from m3i_dsl.testing.comparison import Disagreement, agree, gradients
from m3i_dsl.testing.outcome import Failed, NotApplicable, Property
from m3i_dsl.testing.properties.permutation import ABSOLUTE, require_determined

MICROBATCHES = 2


def _check(case: Case) -> str:
    for description, span in batch_coupled(case.program):
        raise NotApplicable(description, span)
    require_determined(case)
    whole, losses, whole_loss = _computed(case, 1)
    parts, part_losses, part_loss = _computed(case, MICROBATCHES)
    try:
        for name, value in losses.items():
            agree(f"the loss of `{name}`", part_losses[name], value, ABSOLUTE * (1 + float(value.abs())))
        agree("the total loss", part_loss, whole_loss, ABSOLUTE * (1 + float(whole_loss.abs())))
        for name, gradient in whole.items():
            largest = 0.0 if gradient is None else float(gradient.abs().max())
            agree(f"the gradient of `{name}`", parts[name], gradient, ABSOLUTE * (1 + largest))
    except Disagreement as fault:
        raise Failed(f"{MICROBATCHES} microbatches of a batch are not the batch: {fault}", case.program.span) from None
    return f"{len(losses)} losses and {len(whole)} gradients, {MICROBATCHES} microbatches"


def _computed(case: Case, microbatches: int) -> tuple[dict[str, Tensor | None], dict[str, Tensor], Tensor]:
    executable = case.copy()
    outputs = [step(executable, part) for part in microbatches_of(case.batch(), microbatches)]
    total = torch.stack([output["loss"] for output in outputs]).mean()
    total.backward()
    losses = {name: torch.stack([o["losses"][name].detach() for o in outputs]).mean() for name in outputs[0]["losses"]}
    return gradients(executable.module), losses, total.detach()


ACCUMULATION = Property("accumulation", "a batch computed in microbatches is the same batch", _check)
