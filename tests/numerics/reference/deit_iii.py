"""DeiT-III (Touvron et al. 2022): an image that shows two has both categories, each a yes or no by itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, partner, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Binary cross-entropy of the class token's logits, mean over images and categories: deit, engine.py."""
    own, other = batch["view1"], partner(batch["view1"])
    shown, answers = [], []
    labels = zip(batch["labels"].tolist(), partner(batch["labels"]).tolist(), strict=True)
    for x, y, drawn, (label, second) in zip(own, other, batch["drawn"].tolist(), labels, strict=True):
        top, left, bottom, right = (int(edge) for edge in drawn[:4])
        image, answer = drawn[4] * x + (1 - drawn[4]) * y, torch.zeros(len(parts.table.weight), dtype=x.dtype)
        if bottom > top and right > left:
            image = x.clone()
            image[:, top:bottom, left:right] = y[:, top:bottom, left:right]
        answer[label], answer[second] = answer[label] + drawn[4], answer[second] + 1 - drawn[4]
        shown.append(image)
        answers.append((answer > 0).to(x.dtype))
    token = vit_tokens(parts.vit, torch.stack(shown))[:, 0]
    logits, yes = token @ parts.table.weight.T + parts.table.bias, torch.stack(answers)
    return -(yes * F.logsigmoid(logits) + (1 - yes) * F.logsigmoid(-logits)).mean()
