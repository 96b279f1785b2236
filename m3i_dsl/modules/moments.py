"""Terms on the second moments of features: VICReg (Bardes et al. 2022).

Takes: predictions and targets [..., E] of a batch. Gives: scalars. Guarantees: float32 at least and autocast off; means
and moments are those of the global batch, unbiased, with gradient to the rows of all processes.
"""

from __future__ import annotations

from torch import Tensor, nn

from m3i_dsl.collectives import mean, world
from m3i_dsl.modules.precision import wide, without_autocast

EPSILON = 1e-4
"""Added to a variance before its root (facebookresearch/vicreg, main_vicreg.py)."""


def centred(features: Tensor) -> tuple[Tensor, float]:
    """Rows [N, E] less their mean, and what makes a mean of their squares unbiased."""
    rows_NE = wide(features).flatten(0, -2)
    count = len(rows_NE) * world().size
    return rows_NE - mean(rows_NE.mean(dim=0)), count / (count - 1)


def spread(features: Tensor) -> Tensor:
    """How far the deviations of channels are below 1: mean of max(0, 1 - sqrt(Var + 1e-4))."""
    rows_NE, unbiased = centred(features)
    variance_E = mean(rows_NE.square().mean(dim=0)) * unbiased
    return (1 - (variance_E + EPSILON).sqrt()).relu().mean()


def covariance(features: Tensor) -> Tensor:
    """sum_{i != j} Cov_ij^2 / E."""
    rows_NE, unbiased = centred(features)
    covariance_EE = mean(rows_NE.T @ rows_NE / len(rows_NE)) * unbiased
    off = covariance_EE.square().sum() - covariance_EE.diagonal().square().sum()
    return off / rows_NE.shape[1]


class VariancePenalty(nn.Module):
    """weight * the mean of `spread` of both: (prediction, target) -> scalar."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        with without_autocast(prediction):
            return self.weight * (spread(prediction) + spread(target)) / 2


class CovariancePenalty(nn.Module):
    """weight * the sum of `covariance` of both: (prediction, target) -> scalar."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        with without_autocast(prediction):
            return self.weight * (covariance(prediction) + covariance(target))
