"""Terms added to a loss so that representations do not collapse.

Takes: predictions and targets of a batch. Gives: scalars. Guarantees: float32 at least and autocast off, for the sums
are long; second moments are those of the global batch, with gradient where the loss means one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from m3i_dsl.collectives import gather, mean, offset
from m3i_dsl.modules.normalize import l2
from m3i_dsl.modules.precision import wide, without_autocast

TINY = 1e-8
"""What keeps the distance of equal rows, and its logarithm, finite (facebookresearch/dinov2, loss/koleo_loss.py)."""


def unigrad(prediction: Tensor, target: Tensor) -> Tensor:
    """mean over rows of zh^T C zh / d, for `prediction` [..., d] and `target` [..., d].

    C = mean of t t^T over the target's rows in the global batch, uncentred and without gradient (Tao et al. 2022;
    SiameseIM adds it with weight 0.02). It is the diagonal of P C P^T, computed row by row, so that no rows x rows
    matrix is made.
    """
    with without_autocast(prediction):
        prediction_ND = wide(prediction).flatten(0, -2)
        target_ND = wide(target.detach()).flatten(0, -2)
        moment_DD = mean(target_ND.T @ target_ND / target_ND.shape[0])
        return ((prediction_ND @ moment_DD) * prediction_ND).sum(dim=-1).mean() / prediction.shape[-1]


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """[E, E]: z1^T z2 / rows for standardized `first` and `second` [..., E], over the global batch, with gradient."""
    with without_autocast(first):
        first_NE, second_NE = wide(first).flatten(0, -2), wide(second).flatten(0, -2)
        return mean(first_NE.T @ second_NE / first_NE.shape[0])


def invariance_of(correlation: Tensor) -> Tensor:
    """sum of (1 - C_ii)^2 of a correlation matrix C [E, E]."""
    return (1 - correlation.diagonal()).square().sum()


def decorrelation_of(correlation: Tensor) -> Tensor:
    """sum of C_ij^2 over i != j of a correlation matrix C [E, E]."""
    return correlation.square().sum() - correlation.diagonal().square().sum()


def invariance(first: Tensor, second: Tensor) -> Tensor:
    """Barlow Twins' pull of standardized `first` and `second` [..., E] (Zbontar et al. 2021): sum of (1 - C_ii)^2."""
    return invariance_of(correlation(first, second))


def decorrelation(first: Tensor, second: Tensor) -> Tensor:
    """Barlow Twins' redundancy term of standardized `first` and `second` [..., E]: sum of C_ij^2 over i != j."""
    return decorrelation_of(correlation(first, second))


class UniGradPenalty(nn.Module):
    """weight * `unigrad`: (prediction, target) -> scalar."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self.weight * unigrad(prediction, target)


class MeanEntropyPenalty(nn.Module):
    """weight * (log K - H(mean p)) for p = softmax(scores / temperature), MSN's mean entropy maximisation.

    The mean is over the rows of all arguments and of the global batch, with gradient.
    """

    def __init__(self, weight: float, temperature: float) -> None:
        super().__init__()
        self.weight = weight
        self.temperature = temperature

    def forward(self, *scores: Tensor) -> Tensor:
        """[B, K] each -> scalar."""
        with without_autocast(scores[0]):
            shares = [(wide(each) / self.temperature).softmax(dim=-1).mean(dim=0) for each in scores]
            mean_K = mean(torch.stack(shares).mean(dim=0))
            return self.weight * (math.log(len(mean_K)) + torch.xlogy(mean_K, mean_K).sum())


class KoLeoPenalty(nn.Module):
    """weight * mean of -log |x_i - x_n(i)|, n(i) the nearest other row of the global batch on the unit sphere.

    As in DINOv2, 1e-8 is added to each coordinate of the difference and to the distance; gradients go to both rows.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, features: Tensor) -> Tensor:
        """[B, D] -> scalar."""
        with without_autocast(features):
            rows_BD = l2(wide(features))
            all_GD = gather(rows_BD)
            with torch.no_grad():
                near_BG = rows_BD @ all_GD.T
                own_B = offset(len(rows_BD)) + torch.arange(len(rows_BD), device=near_BG.device)
                near_BG.scatter_(1, own_B.unsqueeze(1), -1.0)
                nearest_B = near_BG.argmax(dim=1)
            distances_B = (rows_BD - all_GD[nearest_B] + TINY).norm(dim=1)
            return -self.weight * (distances_B + TINY).log().mean()


class DecorrelationPenalty(nn.Module):
    """weight * `decorrelation`: (prediction, target), both standardized, or their correlation matrix, -> scalar."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Tensor, target: Tensor, correlation: Tensor | None = None) -> Tensor:
        """`correlation` is that of `prediction` and `target` where it is already known."""
        if correlation is None:
            return self.weight * decorrelation(prediction, target)
        return self.weight * decorrelation_of(correlation)


class Invariance(nn.Module):
    """`invariance` as a likelihood: (prediction, target), both standardized, or their correlation, -> scalar."""

    def forward(self, prediction: Tensor, target: Tensor, correlation: Tensor | None = None) -> Tensor:
        """`correlation` is that of `prediction` and `target` where it is already known."""
        return invariance(prediction, target) if correlation is None else invariance_of(correlation)
