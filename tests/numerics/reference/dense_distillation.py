"""Dense Distillation (row b): the whitened features of the averaged encoder on the same unmasked view."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, ln0, projected_patches, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean squared error over all tokens and channels."""
    image, vit = batch["view1"], parts.vit
    prediction = parts.predictor(parts.projector(vit_tokens(vit, image)))[:, vit.num_prefix_tokens :]
    with torch.no_grad():
        target = ln0(projected_patches(parts.average, parts.average_projector, image))
    return (prediction - target).square().mean()
