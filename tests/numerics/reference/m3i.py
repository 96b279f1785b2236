"""M3I: two images mixed into one input; the first predicts its view, the second another, both category or caption."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference import plain
from tests.numerics.reference.m3i_no_mix import contrast
from tests.numerics.reference.plain import Batch, Parts, decode, ln0, partner, pick, projected_patches


def loss(parts: Parts, batch: Batch) -> Tensor:
    """`hidden` is where the first image gives way to its partner, of which the rest is hidden."""
    errors, own = dense(parts, batch)
    prefix = parts.vit.num_prefix_tokens
    pooled = [parts.predictor(tokens[:, prefix:].mean(dim=1)) for tokens in own]
    swapped = {name: partner(batch[name]) for name in ("labels", "tokens") if name in batch}
    both = (contrast(parts, batch, pooled[0]) + contrast(parts, swapped, pooled[1])) / 2
    parts.losses = [*errors, both]
    return plain.weigh(parts.losses, ["gaussian", "gaussian", "boltzmann"], parts)


def dense(parts: Parts, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """The errors of `intra` and `inter`, and the tokens of the first and of the second image with the prefix."""
    first, second, hidden, vit = batch["view1"], partner(batch["view1"]), batch["hidden"], parts.vit
    prefix, p, side = vit.num_prefix_tokens, vit.patch_embed.patch_size[0], plain.side(vit, first)
    pixels = torch.stack([torch.kron(row.reshape(side, side).int(), torch.ones(p, p).int()) for row in hidden])
    z_x = plain.vit_tokens(vit, torch.where(pixels[:, None].bool(), second, first))
    own = [torch.cat([z_x[:, :prefix], pick(z_x[:, prefix:], kept)], dim=1) for kept in (~hidden, hidden)]
    geometries = (partner(batch["geometry1"]), partner(batch["geometry2"]))
    intra = decode(parts.decoder_intra, parts.projector(own[0]), prefix, side, hidden=hidden)
    inter = decode(parts.decoder_inter, parts.projector(own[1]), prefix, side, hidden=~hidden, geometries=geometries)
    with torch.no_grad():
        z_intra = ln0(projected_patches(parts.average, parts.average_projector, first))
        z_inter = partner(ln0(projected_patches(parts.average, parts.average_projector, batch["view2"])))
    return [(intra - z_intra).square().mean(), (inter - z_inter).square().mean()], own
