"""Batch norm over the global batch, on any device and in any dtype (torch's SyncBatchNorm runs on GPUs only).

Takes: this process's rows. Gives: them normalised by mean and variance of the rows of all processes; gradients flow
through both. Guarantees: with one process, and in evaluation, torch's own batch norm; running statistics are those that
one process with the whole batch would have, bit-equal on all processes. Every process has equally many rows.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from m3i_dsl.collectives import gather, total, world
from m3i_dsl.modules.precision import wide


def global_batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`x` [B / W, C, ...] normalised per channel, then times `weight` [C] plus `bias` [C]; and the mean and biased
    variance [C] by which it was, without gradient of their own.

    Float32 at least inside; the result has the dtype of `x`. Second derivatives are not available (RuntimeError from
    autograd).
    """
    return cast(tuple[Tensor, Tensor, Tensor], _GlobalBatchNorm.apply(x, weight, bias, eps))


class _GlobalBatchNorm(torch.autograd.Function):
    """Keeps `x` only. With N rows in all, x^ = (x - mean) / s: dx = w / s (dy - sum dy / N - x^ sum(dy x^) / N).

    Both sums run over all processes: mean and variance were read by the losses of all of them, so that their adjoint is
    a sum over processes (m3i_dsl/collectives). Weight and bias get the local sums, as any parameter.
    """

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = wide(x)
        variance_C, mean_C = torch.var_mean(rows, _others(rows), correction=0)
        # One exchange instead of two; unlike a sum of squares it cancels nothing (Chan, Golub and LeVeque 1983).
        means_WC, variances_WC = gather(torch.stack([mean_C, variance_C]).unsqueeze(0), "statistics").unbind(1)
        mean_C = means_WC.mean(0)
        variance_C = (variances_WC + (means_WC - mean_C).square()).mean(0)
        inverse_C = torch.rsqrt(variance_C + eps)
        y = (rows - _channels(mean_C, rows)) * _channels(inverse_C, rows)
        if weight is not None:
            y = y * _channels(weight, rows)
        if bias is not None:
            y = y + _channels(bias, rows)
        ctx.save_for_backward(x, weight, mean_C, inverse_C)
        ctx.affine = weight is not None, bias is not None
        ctx.mark_non_differentiable(mean_C, variance_C)
        return y.to(x.dtype), mean_C, variance_C

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, dy: Tensor, *_: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError("batch norm over processes has first derivatives only: it cannot take `create_graph`")
        x, weight, mean_C, inverse_C = ctx.saved_tensors
        rows, gradient = wide(x), wide(dy)
        others = _others(rows)
        normed = (rows - _channels(mean_C, rows)) * _channels(inverse_C, rows)
        sums_2C = torch.stack([gradient.sum(others), (gradient * normed).sum(others)])
        means_2C = total(sums_2C) / (world().size * (rows.numel() // rows.shape[1]))
        scale_C = inverse_C if weight is None else inverse_C * weight
        dx = gradient - _channels(means_2C[0], rows) - normed * _channels(means_2C[1], rows)
        has_weight, has_bias = ctx.affine
        dx = (dx * _channels(scale_C, rows)).to(x.dtype)
        return dx, sums_2C[1] if has_weight else None, sums_2C[0] if has_bias else None, None


def _others(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]


def _channels(values_C: Tensor, like: Tensor) -> Tensor:
    return values_C.view(1, -1, *[1] * (like.dim() - 2))


def _over_processes(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """`norm` in training, with running statistics as torch keeps them: the variance unbiased."""
    y, mean_C, variance_C = global_batch_norm(x, norm.weight, norm.bias, norm.eps)
    running_mean, running_variance, steps = norm.running_mean, norm.running_var, norm.num_batches_tracked
    if not norm.track_running_stats or running_mean is None or running_variance is None or steps is None:
        return y
    with torch.no_grad():
        steps.add_(1)
        count = world().size * (x.numel() // x.shape[1])
        share = 1 / steps.to(running_mean.dtype) if norm.momentum is None else norm.momentum
        for running, value in ((running_mean, mean_C), (running_variance, variance_C * (count / (count - 1)))):
            running.mul_(1 - share).add_(value.to(running.dtype) * share)
    return y


class GlobalBatchNorm1d(nn.BatchNorm1d):
    """Of [B, C] or [B, C, L]."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world().size == 1:
            return super().forward(input)
        return _over_processes(self, input)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Of [B, C, H, W]."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world().size == 1:
            return super().forward(input)
        return _over_processes(self, input)


class GlobalBatchNormAct2d(BatchNormAct2d):
    """timm's batch norm with an activation behind it."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or world().size == 1:
            return super().forward(x)
        drop, act = cast(nn.Module, self.drop), cast(nn.Module, self.act)
        return act(drop(_over_processes(cast(nn.BatchNorm2d, self), x)))
