"""The rows of the global batch: gathered, and sliced.

Takes: the rows of this process. Gives: those of all processes in rank order. Guarantees: with one process the very same
tensor; the gradient is the adjoint, as `gather` states and proves; twice differentiable; every process calls it with
the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from m3i_dsl.collectives.recorded import Purpose, only_recorded
from m3i_dsl.collectives.world import World, world


def _named(*names: str) -> Callable[[Tensor, Tensor], object]:
    """The first function of torch.distributed that this torch has: two were renamed in 2.13."""
    return next(getattr(dist, name) for name in names if hasattr(dist, name))


_ALL_GATHER = _named("all_gather_single", "all_gather_into_tensor")
_REDUCE_SCATTER = _named("reduce_scatter_single", "reduce_scatter_tensor")


def gather(rows: Tensor, purpose: Purpose = "candidates") -> Tensor:
    """`rows` [B / W, ...] of each of W processes -> [B, ...], in rank order, on all of them.

    `purpose` is what `m3ic plan` counts the bytes under; it changes nothing else.

    Gradient rule. Process s returns a loss l_s, and the recipe's loss is L = (1 / W) sum_s l_s. Autograd seeds every
    l_s with 1. The copy of x_r that process s holds receives d l_s / d x_r. The backward pass of a gather is its
    adjoint, a reduce-scatter with sum: process r gets sum_s d l_s / d x_r = W dL / dx_r, from all losses that x_r
    enters. By the chain rule each parameter's local gradient is then W times the part of dL / d theta that passes
    through the rows of process r, and averaging over processes, which DDP and FSDP2 do, gives (1 / W) sum_r of it: the
    gradient of one process with all rows, whichever rows and terms each loss is made of. A gather that passes no
    gradient to the others would lose d l_s / d x_r for s != r; one that does not sum, or divides by W, would weigh
    negatives otherwise than positives.
    """
    here = world()
    if here.size == 1:
        return rows
    if not rows.requires_grad:
        return _gathered(rows, here.size, purpose)
    return cast(Tensor, _Gather.apply(rows, here.size, purpose))


def own(batch: Tensor, here: World | None = None) -> Tensor:
    """The rows of this process of `batch` [B, ...], a value that all processes have alike: [B / W, ...], a view.

    The gradient of the rows of other processes is zero here; each of them has it at its own.
    """
    here = world() if here is None else here
    return batch if here.size == 1 else batch[here.rows(len(batch))]


def offset(rows: int) -> int:
    """The position in the global batch of the first of this process's `rows` rows."""
    return world().rank * rows


class _Gather(torch.autograd.Function):
    """All-gather along the first dimension; its backward is `_ScatterSum`."""

    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor, size: int, purpose: Purpose) -> Tensor:
        cast(Any, ctx).call = size, purpose
        return _gathered(rows, size, purpose)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return cast(Tensor, _ScatterSum.apply(gradients[0], *cast(Any, ctx).call)), None, None


class _ScatterSum(torch.autograd.Function):
    """Each process gets its rows of the sum over processes; its backward is `_Gather`."""

    @staticmethod
    def forward(ctx: FunctionCtx, batch: Tensor, size: int, purpose: Purpose) -> Tensor:
        cast(Any, ctx).call = size, purpose
        batch = batch.contiguous()
        rows = batch.new_empty(len(batch) // size, *batch.shape[1:])
        if not only_recorded("reduce-scatter", batch, purpose):
            _REDUCE_SCATTER(rows, batch)
        return rows

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return cast(Tensor, _Gather.apply(gradients[0], *cast(Any, ctx).call)), None, None


def _gathered(rows: Tensor, size: int, purpose: Purpose) -> Tensor:
    # Bytes instead of bool: not every backend moves truth values.
    sent = rows.detach().contiguous()
    sent = sent.view(torch.uint8) if rows.dtype == torch.bool else sent
    batch = sent.new_empty(size * len(sent), *sent.shape[1:])
    if not only_recorded("all-gather", batch, purpose):
        _ALL_GATHER(batch, sent)
    return batch.view(torch.bool) if rows.dtype == torch.bool else batch
