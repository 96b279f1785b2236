"""Auto-Encoder (row a): all tokens in, all pixels out."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, decode, patchify, side, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean squared error over all patches and pixels."""
    image, vit = batch["view1"], parts.vit
    prediction = decode(parts.decoder, vit_tokens(vit, image), vit.num_prefix_tokens, side(vit, image))
    return (prediction - patchify(image, vit.patch_embed.patch_size[0])).square().mean()
