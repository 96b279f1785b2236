"""Masked Image Modeling, features (row e): hidden tokens of the averaged encoder's whitened features."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, decode, ln0, pick, projected_patches, side, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean squared error over hidden tokens and channels."""
    image, hidden, vit = batch["view1"], batch["hidden"], parts.vit
    features = parts.projector(vit_tokens(vit, image, drop=hidden))
    prediction = decode(parts.decoder, features, vit.num_prefix_tokens, side(vit, image), hidden=hidden, asked=hidden)
    with torch.no_grad():
        target = ln0(projected_patches(parts.average, parts.average_projector, image))
    return (prediction - pick(target, hidden)).square().mean()
