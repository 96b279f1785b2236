"""Dense Distillation (row b): the whitened features of the averaged encoder on the same unmasked view."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, decode, ln0, patch_tokens, side, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean squared error over all tokens and channels."""
    image, vit = batch["view1"], parts.vit
    features = parts.projector(vit_tokens(vit, image))
    prediction = decode(parts.decoder, features, vit.num_prefix_tokens, side(vit, image))
    with torch.no_grad():
        target = ln0(parts.average_projector(patch_tokens(parts.average, image)))
    return (prediction - target).square().mean()
