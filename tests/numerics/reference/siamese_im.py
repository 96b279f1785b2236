"""SiameseIM (Tao et al. 2023): masked view2 predicts view1, with the correlation term of its code (UniGrad)."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, decode, ln0, projected_patches, side, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean squared error + parts.unigrad * mean of zh^T (sum t t^T / N) zh / d, over all tokens of view1."""
    image, hidden, vit = batch["view2"], batch["hidden"], parts.vit
    geometries = (batch["geometry2"], batch["geometry1"])
    features = parts.projector(vit_tokens(vit, image, drop=hidden))
    prediction = decode(
        parts.decoder, features, vit.num_prefix_tokens, side(vit, image), hidden=hidden, geometries=geometries
    )
    with torch.no_grad():
        target = ln0(projected_patches(parts.average, parts.average_projector, batch["view1"]))
    zh, t = prediction.flatten(0, 1), target.flatten(0, 1)
    similarity = (zh @ t.T).square().sum(dim=1) / len(t)  # zh^T (sum_m t_m t_m^T / N) zh
    return (prediction - target).square().mean() + parts.unigrad * similarity.mean() / zh.shape[1]
