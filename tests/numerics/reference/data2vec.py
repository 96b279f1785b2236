"""data2vec (Baevski et al. 2022): the mean of the last `parts.layers` blocks, Huber loss on hidden tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, ln0, pick, vit_blocks, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """d^2 / (2 beta) below beta, |d| - beta / 2 beyond, as a mean over hidden tokens and channels."""
    image, hidden, vit, beta = batch["view1"], batch["hidden"], parts.vit, parts.beta
    prediction = parts.predictor(vit_tokens(vit, image, mask=hidden, mask_token=parts.mask_token))
    with torch.no_grad():
        blocks = vit_blocks(parts.average, image)[-parts.layers :]
        mean = torch.stack([ln0(block) for block in blocks]).mean(dim=0)
        target = ln0(mean[:, vit.num_prefix_tokens :])
    d = pick(prediction[:, vit.num_prefix_tokens :] - target, hidden).abs()
    return torch.where(d < beta, d.square() / (2 * beta), d - beta / 2).mean()
