"""DINO (Caron et al. 2021): each crop, large or small, predicts the shares of prototypes of the other large ones."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean over images and all pairs of different crops of -sum_k q_k log p_k."""
    large = ("view1", "view2")
    with torch.no_grad():
        scores = {crop: parts.average_projector(vit_tokens(parts.average, batch[crop])[:, 0]) for crop in large}
        shares = {crop: softmax((scores[crop] - parts.center) / parts.target_temperature) for crop in large}
        # What the centre is when the step is over: both crops were centred by the one before.
        parts.centered = 0.9 * parts.center + 0.1 * torch.cat([scores[crop] for crop in large]).mean(dim=0)
    pairs: list[Tensor] = []
    for x in (name for name in batch if name in large or name.startswith("local")):
        logits = parts.projector(vit_tokens(parts.vit, batch[x])[:, 0]) / parts.temperature
        pairs += [-(shares[y] * softmax(logits).log()).sum(dim=1).mean() for y in large if y != x]
    return torch.stack(pairs).mean()


def softmax(x: Tensor, dim: int = 1) -> Tensor:
    """exp(x) over the sum of its row."""
    return x.exp() / x.exp().sum(dim=dim, keepdim=True)
