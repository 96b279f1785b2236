"""VQ-KD (Peng et al. 2022): the features of a frozen teacher from codes, by cosine, and the distance to the codes."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, l2, patch_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """The mean over tokens of 1 - cos, and the mean over tokens and channels of (sg(e) - z^)^2."""
    image = batch["view1"]
    coded, commitment = parts.projector(patch_tokens(parts.vit, image))
    with torch.no_grad():
        target = l2(patch_tokens(parts.average, image))
    cosine = (l2(parts.predictor(coded)) * target).sum(dim=-1)
    parts.losses = [(2 - 2 * cosine).mean()]
    return (1 - cosine).mean() + commitment
