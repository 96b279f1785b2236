"""MoCo v3 (Chen et al. 2021): row i in both directions, times 2 tau."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, choose_own, gap, l2


def loss(parts: Parts, batch: Batch) -> Tensor:
    """2 tau (CE(view2 -> view1) + CE(view1 -> view2))."""
    total = torch.zeros(())
    for x, y in (("view2", "view1"), ("view1", "view2")):
        prediction = l2(parts.predictor(parts.projector(gap(parts.vit, batch[x]))))
        with torch.no_grad():
            target = l2(parts.average_projector(gap(parts.average, batch[y])))
        total = total + 2 * parts.temperature * choose_own(prediction, target, 1 / parts.temperature)
    return total
