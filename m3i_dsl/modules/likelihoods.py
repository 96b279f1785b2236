"""-log P^(z_y | zh) for all families; those without a candidate set are pure functions on aligned tensors.

Takes: prediction and target of the same shape `[..., D]`, rows in front. Gives: a scalar: the mean over rows of a mean
or a sum over channels. Constants that do not depend on the prediction are left out, and so is the 1/2 of the Gaussian
exponent: `gaussian` with `sum` is the mean of |z_y - zh|^2 (sigma^2 = 1/2), with `mean` that divided by D
(sigma^2 = D/2). Guarantees: float32 at least. The Boltzmann family is made in `boltzmann`.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3i_dsl.modules.boltzmann import (
    CategoryBoltzmann,
    SampleBoltzmann,
    TextBoltzmann,
    category_logits,
    mixed_labels,
)
from m3i_dsl.modules.precision import wide
from m3i_dsl.modules.tokens import token_mean

Reduction = Literal["mean", "sum"]


def gaussian(prediction: Tensor, target: Tensor, reduction: Reduction = "mean", filled: Tensor | None = None) -> Tensor:
    """Squared error: mean over rows of |z_y - zh|^2 (`sum`) or of its mean over channels (`mean`).

    `filled` bool [B, Q] says which tokens of each image count (None: all), here and below: see `token_mean`.
    """
    return _reduce((wide(prediction) - wide(target)).square(), reduction, filled)


def laplace(prediction: Tensor, target: Tensor, reduction: Reduction = "mean", filled: Tensor | None = None) -> Tensor:
    """Absolute error (SimMIM, Xie et al. 2022)."""
    return _reduce((wide(prediction) - wide(target)).abs(), reduction, filled)


def huber(
    prediction: Tensor, target: Tensor, beta: float, reduction: Reduction = "mean", filled: Tensor | None = None
) -> Tensor:
    """Smooth L1: e^2 / (2 beta) where |e| < beta, |e| - beta / 2 beyond (data2vec and FD use beta 2)."""
    return _reduce(F.smooth_l1_loss(wide(prediction), wide(target), reduction="none", beta=beta), reduction, filled)


def bernoulli(logits: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """One Bernoulli for each channel: binary cross-entropy of `logits` [..., C] with `target` in [0, 1] [..., C]."""
    return _reduce(
        F.binary_cross_entropy_with_logits(wide(logits), target.to(wide(logits).dtype), reduction="none"), reduction
    )


def _reduce(errors: Tensor, reduction: Reduction, filled: Tensor | None = None) -> Tensor:
    if filled is None and reduction == "mean":
        return errors.mean()
    return token_mean(errors.mean(dim=-1) if reduction == "mean" else errors.sum(dim=-1), filled)


class GaussianLoss(nn.Module):
    """`gaussian` as a module: (prediction, target, filled=) -> scalar."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor, filled: Tensor | None = None) -> Tensor:
        return gaussian(prediction, target, self.reduction, filled)


class LaplaceLoss(nn.Module):
    """`laplace` as a module: (prediction, target, filled=) -> scalar."""

    def forward(self, prediction: Tensor, target: Tensor, filled: Tensor | None = None) -> Tensor:
        return laplace(prediction, target, filled=filled)


class HuberLoss(nn.Module):
    """`huber` as a module: (prediction, target, filled=) -> scalar."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, prediction: Tensor, target: Tensor, filled: Tensor | None = None) -> Tensor:
        return huber(prediction, target, self.beta, filled=filled)


class BernoulliLoss(nn.Module):
    """`bernoulli` over the categories of a class table (DeiT-III, Touvron et al. 2022), mean over categories.

    `label_smoothing` e gives the label 1 - e + e / C and the others e / C. Of an image that shows two, both are true
    by their shares, or with `binary` wherever their share is not 0.
    """

    def __init__(self, label_smoothing: float = 0.0, *, binary: bool = False) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.binary = binary

    def forward(
        self,
        prediction: Tensor,
        table: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        others: Tensor | None = None,
        share: Tensor | None = None,
    ) -> Tensor:
        """`prediction` [B, E], `table` [C, E], `bias` [C] or None, `labels` i64 [B] -> scalar; `others` i64 [B] and
        `share` f32 [B] as of `CategoryBoltzmann`.
        """
        logits = category_logits(prediction, table, bias)
        others = labels if others is None else others
        share = torch.ones_like(labels, dtype=logits.dtype) if share is None else share.to(logits.dtype)
        shares = mixed_labels(labels, others, share, len(table))
        if self.binary:
            shares = (shares > 0).to(logits.dtype)
        return bernoulli(logits, shares * (1 - self.label_smoothing) + self.label_smoothing / len(table))


__all__ = [
    "BernoulliLoss",
    "CategoryBoltzmann",
    "GaussianLoss",
    "HuberLoss",
    "LaplaceLoss",
    "Reduction",
    "SampleBoltzmann",
    "TextBoltzmann",
    "bernoulli",
    "gaussian",
    "huber",
    "laplace",
]
