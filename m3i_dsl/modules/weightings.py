"""How the losses of several targets become one.

Takes: K scalar losses and the input representation z_x that they share. Gives: the total to differentiate and the
weights `[K]`, detached, for the log. Guarantees: all four have the same call, `forward(losses, shared)`, and multiply
each target's term by the weight that the recipe gives it; statistics are buffers, updated in training mode only, and
those of the global batch. The rules are ours to choose: the paper's is not published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from m3i_dsl.collectives import mean, total, world
from m3i_dsl.modules.clamp import projected_clamp
from m3i_dsl.modules.learned import LearnedScalars
from m3i_dsl.modules.precision import without_autocast

Family = Literal["gaussian", "boltzmann"]

EPSILON = 1e-12


class FixedWeighting(nn.Module):
    """sum of w_k L_k with the given w_k."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights = tuple(weights)

    def forward(self, losses: Sequence[Tensor], shared: Tensor) -> tuple[Tensor, Tensor]:
        return _given(losses, self.weights).sum(), _given(_ones(losses), self.weights)


class LikelihoodWeighting(LearnedScalars):
    """The negative log likelihood with a learned spread for each target (Kendall, Gal and Cipolla 2018).

    gaussian: exp(-s) L / 2 + s / 2 with s = log sigma^2 and L a mean over channels; boltzmann: exp(-s) L + s / 2. The
    s [K] start at 0 and are clamped to [-4, 4], so that a collapsing target cannot take all the weight.
    """

    factors: Tensor

    def __init__(self, families: Sequence[Family], weights: Sequence[float]) -> None:
        super().__init__()
        self.weights = tuple(weights)
        self.s = nn.Parameter(torch.zeros(len(families)))
        factors = [0.5 if family == "gaussian" else 1.0 for family in families]
        self.register_buffer("factors", torch.tensor(factors), persistent=False)

    def forward(self, losses: Sequence[Tensor], shared: Tensor) -> tuple[Tensor, Tensor]:
        s = projected_clamp(self.s, -4.0, 4.0)
        scales = self.factors * torch.exp(-s)
        terms = scales * torch.stack(list(losses)) + s / 2
        return _given(terms.unbind(), self.weights).sum(), _given(scales.detach().unbind(), self.weights)

    @torch.no_grad()
    def learned_scalars(self) -> dict[str, Tensor]:
        """s = log sigma^2 of each target."""
        return {"log_variance": self.s.clamp(-4.0, 4.0)}


class _Smoothed(nn.Module):
    """An exponential mean of a vector [K], factor 0.9; the first value starts it."""

    mean: Tensor
    started: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(count))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def forward(self, value: Tensor) -> Tensor:
        smoothed = torch.where(self.started, 0.9 * self.mean + 0.1 * value, value)
        if self.training:
            self.mean.copy_(smoothed)
            self.started.fill_(True)
        return smoothed


class LossNormWeighting(nn.Module):
    """1 / EMA(L_k): every target starts out as large as the others and counts by its relative progress."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights = tuple(weights)
        self.smoothed = _Smoothed(len(self.weights))

    def forward(self, losses: Sequence[Tensor], shared: Tensor) -> tuple[Tensor, Tensor]:
        stacked = torch.stack(list(losses))
        scales = _given((1 / self.smoothed(mean(stacked.detach())).clamp(min=EPSILON)).unbind(), self.weights)
        return (scales * stacked).sum(), scales


class GradNormWeighting(nn.Module):
    """mean_j |g_j| / |g_k|, g_k the gradient of L_k at z_x, of the global batch: equal pull on the shared features.

    Smoothed with factor 0.9 and scaled to sum to K, then times the given weights. Without gradient (in evaluation) the
    smoothed scales are used as they are. Every loss must depend on `shared`, else RuntimeError from autograd.

    `probing` is around the backward passes that find the norms, in the middle of a forward pass: who shards the
    parameters keeps them whole there.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights = tuple(weights)
        self.smoothed = _Smoothed(len(self.weights))
        self.probing: Callable[[], AbstractContextManager[None]] = nullcontext

    def forward(self, losses: Sequence[Tensor], shared: Tensor) -> tuple[Tensor, Tensor]:
        stacked = torch.stack(list(losses))
        if shared.requires_grad:
            with self.probing(), without_autocast(shared):
                balance = _balance(losses, shared)
            scales = self.smoothed(balance)
        else:
            scales = self.smoothed.mean
        scales = _given((scales * (len(losses) / scales.sum())).to(stacked.dtype).unbind(), self.weights)
        return (scales * stacked).sum(), scales


def _balance(losses: Sequence[Tensor], shared: Tensor) -> Tensor:
    norms = torch.stack([torch.autograd.grad(loss, shared, retain_graph=True)[0].norm() for loss in losses])
    if (size := world().size) > 1:
        # At own rows, a loss of W processes has W times the gradient of its mean over them (m3i_dsl/collectives).
        norms = total(norms.square()).sqrt() / size
    return norms.mean() / (norms + EPSILON)


def _given(terms: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """[K]: each term times its weight; Python numbers, so that they are exact in every dtype."""
    return torch.stack([weight * term for weight, term in zip(weights, terms, strict=True)])


def _ones(losses: Sequence[Tensor]) -> list[Tensor]:
    return [torch.ones_like(loss.detach()) for loss in losses]
