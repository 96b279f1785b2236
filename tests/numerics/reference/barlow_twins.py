"""Barlow Twins (Zbontar et al. 2021): the cross-correlation of two views becomes the identity. Both sides learn."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, gap


def loss(parts: Parts, batch: Batch) -> Tensor:
    """(sum_i (1 - C_ii)^2 + parts.decorrelation sum_{i != j} C_ij^2) times parts.weight."""
    standardized = []
    for view in ("view1", "view2"):
        z = parts.projector(gap(parts.vit, batch[view]))
        centred = z - z.mean(dim=0)
        standardized.append(centred / (centred.square().mean(dim=0) + 1e-5).sqrt())
    first, second = standardized
    correlation = first.T @ second / len(first)
    diagonal = correlation.diagonal()
    off_diagonal = correlation.square().sum() - diagonal.square().sum()
    return parts.weight * ((1 - diagonal).square().sum() + parts.decorrelation * off_diagonal)
