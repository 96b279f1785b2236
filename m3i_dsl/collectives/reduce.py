"""Sums and means over the processes, with gradient.

Takes: a tensor of the same shape on every process. Gives: the same value on all of them. Guarantees: with one process
the very same tensor; the gradient is the adjoint, as `total` states and proves; twice differentiable.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from m3i_dsl.collectives.recorded import only_recorded
from m3i_dsl.collectives.world import world


def total(part: Tensor) -> Tensor:
    """The sum of `part` over processes.

    Gradient rule, with the convention of `gather` (the recipe's loss is the mean of the l_s, each seeded with 1). For
    y = sum_r x_r, every process s holds a copy of y that receives d l_s / dy. The adjoint of an all-reduce with sum is
    an all-reduce with sum: x_r gets sum_s d l_s / dy = W dL / dx_r, as a gathered row does. When all l_s are the same
    function of y, that is W d l / dy, which the average over processes divides by W again. A backward that passes the
    local d l_s / dy only would be right for such losses up to a factor W, and wrong where they differ.
    """
    if world().size == 1:
        return part
    if not part.requires_grad:
        return _summed(part)
    return cast(Tensor, _Total.apply(part))


def mean(part: Tensor) -> Tensor:
    """The mean of `part` over processes: of means over own rows, that over the global batch. Gradient as `total`."""
    size = world().size
    return part if size == 1 else total(part) / size


def largest(part: Tensor) -> Tensor:
    """The elementwise maximum of `part` over processes; it carries no gradient."""
    if world().size == 1:
        return part.detach()
    result = part.detach().clone(memory_format=torch.contiguous_format)
    if not only_recorded("all-reduce", result, "statistics"):
        dist.all_reduce(result, dist.ReduceOp.MAX)
    return result


class _Total(torch.autograd.Function):
    """An all-reduce with sum, and its own adjoint."""

    @staticmethod
    def forward(ctx: FunctionCtx, part: Tensor) -> Tensor:
        return _summed(part)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        return cast(Tensor, _Total.apply(gradients[0]))


def _summed(part: Tensor) -> Tensor:
    result = part.detach().clone(memory_format=torch.contiguous_format)
    if not only_recorded("all-reduce", result, "statistics"):
        dist.all_reduce(result)
    return result
