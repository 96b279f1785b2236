"""M3I without mixing: one masked view, targets in the same view, in another view, and a category or caption."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference import plain
from tests.numerics.reference.plain import Batch, Parts, decode, ln0, projected_patches, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Dense intra and inter errors and the contrast of the mean visible token."""
    image, hidden, vit = batch["view1"], batch["hidden"], parts.vit
    prefix, side = vit.num_prefix_tokens, plain.side(vit, image)
    features = vit_tokens(vit, image, drop=hidden)
    geometries = (batch["geometry1"], batch["geometry2"])
    intra = decode(parts.decoder_intra, parts.projector(features), prefix, side, hidden=hidden)
    inter = decode(parts.decoder_inter, parts.projector(features), prefix, side, hidden=hidden, geometries=geometries)
    with torch.no_grad():
        z_intra, z_inter = (
            ln0(projected_patches(parts.average, parts.average_projector, batch[view])) for view in ("view1", "view2")
        )
    pooled = parts.predictor(features[:, prefix:].mean(dim=1))
    parts.losses = [
        (intra - z_intra).square().mean(),
        (inter - z_inter).square().mean(),
        contrast(parts, batch, pooled),
    ]
    return plain.weigh(parts.losses, ["gaussian", "gaussian", "boltzmann"], parts)


def contrast(parts: Parts, batch: Batch, pooled: Tensor) -> Tensor:
    """Against the class table or, where the recipe has captions, against the texts of the batch."""
    if "tokens" not in batch:
        return plain.choose_category(pooled, parts, batch["labels"])
    text = plain.l2(parts.text_projection(parts.text(batch["tokens"])))
    scale = plain.inverse_temperature(parts)
    return plain.choose_text(plain.l2(pooled), text, batch["tokens"], scale, parts.symmetric)
