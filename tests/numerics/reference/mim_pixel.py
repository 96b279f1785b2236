"""Masked Image Modeling, pixels (row d): hidden patches are dropped and predicted."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, decode, patchify, pick, side, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean squared error over hidden patches and their pixels."""
    image, hidden, vit = batch["view1"], batch["hidden"], parts.vit
    features = vit_tokens(vit, image, drop=hidden)
    prediction = decode(parts.decoder, features, vit.num_prefix_tokens, side(vit, image), hidden=hidden, asked=hidden)
    target = pick(patchify(image, vit.patch_embed.patch_size[0]), hidden)
    return (prediction - target).square().mean()
