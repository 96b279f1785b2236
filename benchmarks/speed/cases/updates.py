"""What follows the backward pass: averages and the optimizer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks.speed.agreement import Disagreement
from benchmarks.speed.cases.case import Context
from benchmarks.speed.compiled import STEPS
from benchmarks.speed.handwritten.model import average_of, vit
from benchmarks.speed.outcome import Outcome, Target
from m3i_dsl.lower.executable import Average
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.vocabulary.values import Ramp

MOMENTUM = 0.996

_mul: Any = torch._foreach_mul_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
_add: Any = torch._foreach_add_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


@torch.no_grad()
def two_passes(model: torch.nn.Module, average: torch.nn.Module, momentum: float) -> None:
    """As lightly's update_momentum (lightly/models/utils.py) does it: a product, then a sum, each over all tensors."""
    parameters, averages = list(model.parameters()), list(average.parameters())
    _mul(averages, momentum)
    _add(averages, parameters, alpha=1 - momentum)


def moving_average(context: Context) -> Outcome:
    """The average of a ViT."""
    model = vit(context.size)
    mine, theirs = average_of(model, model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    averages = MovingAverages(
        [Average("image", model, mine, Ramp(MOMENTUM, MOMENTUM, "constant"))], STEPS, lambda _: STEPS
    )
    averages.update(0)
    two_passes(model, theirs, MOMENTUM)
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        if not torch.allclose(one, other, atol=1e-6):
            raise Disagreement("the two averages differ")
    sides = {"one lerp": lambda: averages.update(0), "product, then sum": lambda: two_passes(model, theirs, MOMENTUM)}
    outcome = Outcome("ema", "one lerp", context.timed(sides, factor=3))
    target = Target("EMA: speed over lightly's", 1.5, "at least", outcome.faster("product, then sum"))
    return Outcome("ema", "one lerp", outcome.times, targets=(target,))


def optimizer(context: Context) -> Outcome:
    """AdamW on a ViT: fused, as `adamw` makes it, and tensor by tensor."""
    fused = vit(context.size)
    loop = copy.deepcopy(fused)
    for one, other in zip(fused.parameters(), loop.parameters(), strict=True):
        one.grad = torch.randn_like(one)
        other.grad = one.grad.clone()
    steps = {
        "fused": torch.optim.AdamW(fused.parameters(), lr=1e-4, fused=True).step,
        "loop": torch.optim.AdamW(loop.parameters(), lr=1e-4, foreach=False, fused=False).step,
    }
    for step in steps.values():
        step()
    for one, other in zip(fused.parameters(), loop.parameters(), strict=True):
        if not torch.allclose(one, other, atol=1e-5):
            raise Disagreement("the two optimizers differ")
    outcome = Outcome("adamw", "fused", context.timed(steps, factor=2))
    target = Target("AdamW: speed over a loop", 1.0, "at least", outcome.faster("loop"))
    return Outcome("adamw", "fused", outcome.times, targets=(target,))


CASES: Mapping[str, Callable[[Context], Outcome]] = {"ema": moving_average, "adamw": optimizer}
