"""Clamping a learned scalar so that the optimizer can always bring it back.

Takes: a parameter and bounds. Gives: the clamped value. Guarantees: inside the bounds the gradient is exact; outside,
the part of it that would push the parameter further out is zero and the part that leads back in is kept. (A plain clamp
stops every gradient, so a parameter that once left would stay out.) What leads in or out is asked of the gradient of
all processes, for a step follows their mean.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from m3i_dsl.collectives import total


class _ProjectedClamp(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, low: float, high: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return x.clamp(low, high)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        x, ctx.low, ctx.high = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        # A step moves x by -grad: a positive gradient leads down, a negative one up.
        step = total(grad)
        outward = ((x > ctx.high) & (step < 0)) | ((x < ctx.low) & (step > 0))
        return grad.masked_fill(outward, 0.0), None, None


def projected_clamp(x: Tensor, low: float, high: float) -> Tensor:
    """`x` clamped to [low, high], with the gradient described above."""
    clamped: Tensor = _ProjectedClamp.apply(x, low, high)  # pyright: ignore[reportAssignmentType]
    return clamped
