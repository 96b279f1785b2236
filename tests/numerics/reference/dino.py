"""DINO (Caron et al. 2021): the class token's shares of prototypes, from each view for the other."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean over images and both directions of -sum_k q_k log p_k."""
    views = ("view1", "view2")
    with torch.no_grad():
        scores = {view: parts.average_projector(vit_tokens(parts.average, batch[view])[:, 0]) for view in views}
        shares = {view: softmax((scores[view] - parts.center) / parts.target_temperature) for view in views}
        # What the centre is when the step is over: both views were centred by the one before.
        parts.centered = 0.9 * parts.center + 0.1 * torch.cat([scores[view] for view in views]).mean(dim=0)
    total = torch.zeros(())
    for x, y in (("view1", "view2"), ("view2", "view1")):
        logits = parts.projector(vit_tokens(parts.vit, batch[x])[:, 0]) / parts.temperature
        total = total - (shares[y] * softmax(logits).log()).sum(dim=1).mean()
    return total / 2


def softmax(x: Tensor) -> Tensor:
    """exp(x) over the sum of its row."""
    return x.exp() / x.exp().sum(dim=1, keepdim=True)
