"""Feature Distillation (Wei et al. 2022): whitened features of a frozen teacher, of all tokens, by a linear head."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, ln0, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """d^2 / (2 beta) below beta, |d| - beta / 2 beyond, as a mean over the class token, all patches and channels."""
    image, beta = batch["view1"], parts.beta
    prediction = parts.predictor(vit_tokens(parts.vit, image))
    with torch.no_grad():
        target = ln0(vit_tokens(parts.average, image))
    assert prediction.shape[1] == 1 + parts.vit.patch_embed.num_patches, "the class token is compared"
    d = (prediction - target).abs()
    return torch.where(d < beta, d.square() / (2 * beta), d - beta / 2).mean()
