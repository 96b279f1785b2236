"""Masked Image Modeling, global (row f): the averaged encoder's vector of the whole view from the visible tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, gap, l2


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean over images of the squared distance on the unit sphere, 2 - 2 cos."""
    prediction = l2(parts.predictor(parts.projector(gap(parts.vit, batch["view1"], drop=batch["hidden"]))))
    with torch.no_grad():
        target = l2(parts.average_projector(gap(parts.average, batch["view1"])))
    return (prediction - target).square().sum(dim=1).mean()
