"""MSN (Assran et al. 2022; facebookresearch/msn, src/losses.py): masked and small views find shares of a whole one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.numerics.reference.dino import softmax
from tests.numerics.reference.plain import Batch, Parts, l2, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean cross-entropy of all anchors, and log K less the entropy of the mean of all their predictions."""
    prototypes = l2(parts.prototypes)
    with torch.no_grad():
        target = parts.average_embedding(vit_tokens(parts.average, batch["view1"])[:, 0])
        shares = softmax(target @ prototypes.T / 0.1) ** (1 / 0.25)
        shares = balanced(shares / shares.sum(dim=1, keepdim=True))
    anchors = [vit_tokens(parts.vit, batch["view2"], drop=batch["hidden"])]
    anchors += [vit_tokens(parts.vit, batch[name]) for name in batch if name.startswith("focal")]
    found = torch.cat([softmax(parts.embedding(tokens[:, 0]) @ prototypes.T / 0.1) for tokens in anchors])
    mean = found.mean(dim=0)
    entropy = -(mean * mean.log()).sum()
    cross = -(shares.repeat(len(anchors), 1) * found.log()).sum(dim=1).mean()
    return cross + math.log(len(mean)) - entropy


def balanced(shares: Tensor) -> Tensor:
    """Three rounds: prototypes have equal shares of the batch, then images of the prototypes."""
    for _ in range(3):
        shares = shares / shares.sum(dim=0)
        shares = shares / shares.sum(dim=1, keepdim=True)
    return shares
