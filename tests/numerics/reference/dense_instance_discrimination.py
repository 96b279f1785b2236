"""Dense Instance Discrimination (row h): each token of view1 is found by its position seen from view2."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import (
    Batch,
    Parts,
    decode,
    inverse_temperature,
    l2,
    negative_log_softmax,
    projected_patches,
    side,
    vit_tokens,
)


def loss(parts: Parts, batch: Batch) -> Tensor:
    """-log softmax over the own token and `parts.tokens` evenly strided ones of each image, the own never twice."""
    image, vit = batch["view2"], parts.vit
    geometries = (batch["geometry2"], batch["geometry1"])
    features = parts.projector(vit_tokens(vit, image))
    q = l2(decode(parts.decoder, features, vit.num_prefix_tokens, side(vit, image), geometries=geometries))
    with torch.no_grad():
        k = l2(projected_patches(parts.average, parts.average_projector, batch["view1"]))
    images, length, _ = k.shape
    strided = [number * length // parts.tokens for number in range(parts.tokens)]
    rows = []
    for n in range(images):
        for t in range(length):
            others = [k[m, u] for m in range(images) for u in strided if (m, u) != (n, t)]
            candidates = torch.stack([k[n, t], *others])
            rows.append(negative_log_softmax(inverse_temperature(parts) * candidates @ q[n, t], 0))
    return torch.stack(rows).mean()
