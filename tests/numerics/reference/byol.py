"""BYOL (Grill et al. 2020): 2 - 2 cos between prediction and averaged target, in both directions."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, gap, l2


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean over images of 2 - 2 cos, summed over the two directions."""
    total = torch.zeros(())
    for x, y in (("view2", "view1"), ("view1", "view2")):
        prediction = l2(parts.predictor(parts.projector(gap(parts.vit, batch[x]))))
        with torch.no_grad():
            target = l2(parts.average_projector(gap(parts.average, batch[y])))
        total = total + (2 - 2 * (prediction * target).sum(dim=1)).mean()
    return total
