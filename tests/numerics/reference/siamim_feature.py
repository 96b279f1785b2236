"""Siamese Image Modeling, features (row k): whitened features of view1 from the visible part of view2."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, decode, ln0, projected_patches, side, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean squared error over all tokens and channels of view1."""
    image, hidden, vit = batch["view2"], batch["hidden"], parts.vit
    geometries = (batch["geometry2"], batch["geometry1"])
    features = parts.projector(vit_tokens(vit, image, drop=hidden))
    prediction = decode(
        parts.decoder, features, vit.num_prefix_tokens, side(vit, image), hidden=hidden, geometries=geometries
    )
    with torch.no_grad():
        target = ln0(projected_patches(parts.average, parts.average_projector, batch["view1"]))
    return (prediction - target).square().mean()
