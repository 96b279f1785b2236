"""Siamese Image Modeling, pixels (row j): pixels of view1 from the visible part of view2."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, decode, patchify, side, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean squared error over all patches and pixels of view1."""
    image, hidden, vit = batch["view2"], batch["hidden"], parts.vit
    geometries = (batch["geometry2"], batch["geometry1"])
    features = vit_tokens(vit, image, drop=hidden)
    prediction = decode(
        parts.decoder, features, vit.num_prefix_tokens, side(vit, image), hidden=hidden, geometries=geometries
    )
    return (prediction - patchify(batch["view1"], vit.patch_embed.patch_size[0])).square().mean()
