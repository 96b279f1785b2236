"""Softmax classification of the mean token."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import Batch, Counterpart, Handwritten, pooled, vit
from benchmarks.speed.size import Size


class Supervised(Handwritten):
    """Ten categories, label smoothing 0.1."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.vit = vit(size)
        self.head = nn.Linear(size.width, 10)

    def forward(self, batch: Batch) -> Tensor:
        logits = self.head(pooled(self.vit, batch["view1"]))
        return F.cross_entropy(logits, batch["labels"], label_smoothing=0.1)

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        table = other.get_submodule("representations.supervised_category")
        return [(self.vit, other.get_submodule("encoders.image")), (self.head, table)]
