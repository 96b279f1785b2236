"""MoCo v3 (Chen et al. 2021): row i in both directions, times 2 tau."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, choose_own, l2, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """2 tau (CE(view2 -> view1) + CE(view1 -> view2))."""
    total = torch.zeros(())
    for x, y in (("view2", "view1"), ("view1", "view2")):
        prediction = l2(parts.predictor(parts.projector(vit_tokens(parts.vit, batch[x])[:, 0])))
        with torch.no_grad():
            target = l2(parts.average_projector(vit_tokens(parts.average, batch[y])[:, 0]))
        total = total + 2 * parts.temperature * choose_own(prediction, target, 1 / parts.temperature)
    return total
