"""Novel View Synthesis (row g): pixels of view1 from the whole of view2 and their relative position."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, decode, patchify, side, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean squared error over all patches and pixels of view1."""
    image, vit = batch["view2"], parts.vit
    geometries = (batch["geometry2"], batch["geometry1"])
    features = vit_tokens(vit, image)
    prediction = decode(parts.decoder, features, vit.num_prefix_tokens, side(vit, image), geometries=geometries)
    return (prediction - patchify(batch["view1"], vit.patch_embed.patch_size[0])).square().mean()
