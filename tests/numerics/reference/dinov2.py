"""DINOv2 (Oquab et al. 2024; facebookresearch/dinov2, train/ssl_meta_arch.py): iBOT, Sinkhorn's shares, KoLeo."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.dino import softmax
from tests.numerics.reference.msn import balanced
from tests.numerics.reference.plain import Batch, Parts, l2, vit_tokens

LARGE = ("view1", "view2")


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Class tokens over pairs of different crops, with KoLeo of each large one; hidden tokens image by image."""
    hidden, pairs, large, spread = torch.cat([batch[f"hidden_{crop}"] for crop in LARGE]), [], [], []
    with torch.no_grad():
        scores = torch.cat([parts.average_projector(vit_tokens(parts.average, batch[crop])) for crop in LARGE])
        raw = ((scores - 1) / parts.target_temperature).exp()
        of_class = dict(zip(LARGE, balanced(raw[:, 0]).chunk(2), strict=True))
        of_patch = balanced(raw[:, 1:][hidden])
    for x in (*LARGE, *(name for name in batch if name.startswith("local"))):
        mask = {"mask": batch[f"hidden_{x}"], "mask_token": parts.mask_token} if x in LARGE else {}
        tokens = vit_tokens(parts.vit, batch[x], **mask)
        logits = parts.projector(tokens) / parts.temperature
        pairs += [-(of_class[y] * softmax(logits[:, 0]).log()).sum(dim=1).mean() for y in LARGE if y != x]
        if x in LARGE:
            large, spread = [*large, logits[:, 1:]], [*spread, koleo(l2(tokens[:, 0]))]
    each = -(of_patch * softmax(torch.cat(large)[hidden]).log()).sum(dim=1)
    images = [part.mean() for part in each.split(hidden.sum(dim=1).tolist()) if len(part)]
    classes = torch.stack(pairs).mean() + 0.1 * torch.stack(spread).sum()
    parts.losses = [classes, torch.stack(images).sum() / len(hidden)]
    return parts.losses[0] + parts.losses[1]


def koleo(x: Tensor) -> Tensor:
    nearest = (x @ x.T - 9 * torch.eye(len(x), dtype=x.dtype)).argmax(dim=1)
    return -((x - x[nearest] + 1e-8).square().sum(dim=1).sqrt() + 1e-8).log().mean()
