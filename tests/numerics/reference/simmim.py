"""SimMIM (Xie et al. 2022): mask tokens in the encoder, a linear head, absolute error."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, patchify, pick, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Sum of absolute errors over the hidden pixels, divided by their number and by three channels."""
    image, hidden, vit = batch["view1"], batch["hidden"], parts.vit
    prediction = parts.predictor(vit_tokens(vit, image, mask=hidden, mask_token=parts.mask_token))
    error = (prediction[:, vit.num_prefix_tokens :] - patchify(image, vit.patch_embed.patch_size[0])).abs()
    pixels = hidden.sum() * vit.patch_embed.patch_size[0] ** 2
    return pick(error, hidden).sum() / (3 * pixels)
