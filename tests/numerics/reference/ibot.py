"""iBOT (Zhou et al. 2022; bytedance/ibot, main_ibot.py): class tokens as DINO, and hidden tokens of each large crop."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.dino import softmax
from tests.numerics.reference.plain import Batch, Parts, vit_tokens

LARGE = ("view1", "view2")


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Class: mean over pairs of different crops. Tokens: of each image's hidden ones, then of images, then of crops."""
    with torch.no_grad():
        scores = {crop: parts.average_projector(vit_tokens(parts.average, batch[crop])) for crop in LARGE}
        classes = {crop: scores[crop][:, 0] for crop in LARGE}
        patches = {crop: scores[crop][:, 1:] for crop in LARGE}
        tau, centers = parts.target_temperature, parts.centers
        of_class = {crop: softmax((classes[crop] - centers["class"]) / tau) for crop in LARGE}
        of_patch = {crop: softmax((patches[crop] - centers["patch"]) / tau, dim=2) for crop in LARGE}
        seen = {"class": torch.cat(list(classes.values())), "patch": torch.cat(list(patches.values())).flatten(0, 1)}
        parts.centered = {name: 0.9 * centers[name] + 0.1 * seen[name].mean(dim=0) for name in seen}
    pairs: list[Tensor] = []
    crops: list[Tensor] = []
    for x in (name for name in batch if name in LARGE or name.startswith("local")):
        hidden = batch.get(f"hidden_{x}")
        options = {} if hidden is None else {"mask": hidden, "mask_token": parts.mask_token}
        logits = parts.projector(vit_tokens(parts.vit, batch[x], **options)) / parts.temperature
        pairs += [-(of_class[y] * softmax(logits[:, 0]).log()).sum(dim=1).mean() for y in LARGE if y != x]
        if hidden is None:
            continue
        of_token = -(of_patch[x] * softmax(logits[:, 1:], dim=2).log()).sum(dim=2)
        images = [row[chosen].mean() for row, chosen in zip(of_token, hidden, strict=True) if chosen.any()]
        crops.append(torch.stack(images).sum() / len(hidden))
    parts.losses = [torch.stack(pairs).mean(), torch.stack(crops).mean()]
    return parts.losses[0] + parts.losses[1]
