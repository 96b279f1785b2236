"""VICReg (Bardes et al. 2022; facebookresearch/vicreg, main_vicreg.py): two views agree, channels vary and differ."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, gap


def loss(parts: Parts, batch: Batch) -> Tensor:
    """(25 squared error + 25 hinge on deviations, half of each view, + squared covariances over the width) over 25."""
    x, y = (parts.projector(gap(parts.vit, batch[view])) for view in ("view1", "view2"))
    total = 25 * (x - y).square().mean()
    for z in (x, y):
        centred = z - z.mean(dim=0)
        covariance = centred.T @ centred / (len(z) - 1)
        deviations = (covariance.diagonal() + 1e-4).sqrt()
        total = total + 25 * (1 - deviations).clamp(min=0).mean() / 2
        total = total + (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]
    return total / 25 * parts.weight
