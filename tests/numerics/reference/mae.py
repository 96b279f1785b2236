"""MAE (He et al. 2022): as row d, with each patch normalised by its own mean and variance."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, decode, norm_pixels, patchify, pick, side, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean squared error over hidden patches and their normalised pixels."""
    image, hidden, vit = batch["view1"], batch["hidden"], parts.vit
    features = vit_tokens(vit, image, drop=hidden)
    prediction = decode(parts.decoder, features, vit.num_prefix_tokens, side(vit, image), hidden=hidden, asked=hidden)
    target = pick(norm_pixels(patchify(image, vit.patch_embed.patch_size[0])), hidden)
    return (prediction - target).square().mean()
