"""DINO (Caron et al. 2021) with two global crops, both views in both roles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import Batch, Counterpart, Handwritten, average_of, class_token, l2, vit
from benchmarks.speed.size import Size


class DINO(Handwritten):
    """The shares of prototypes of one view, centred and sharpened, predict those of the other."""

    momentum = 0.996
    centering = 0.9
    temperature = 0.1
    sharpening = 0.04

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.vit = vit(size)
        self.head = Head(size)
        self.average, self.average_head = average_of(self.vit, self.head)
        self.register_buffer("center", torch.zeros(size.prototypes))

    def averaged(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        return ((self.average, self.vit), (self.average_head, self.head))

    def forward(self, batch: Batch) -> Tensor:
        views = torch.cat([batch["view1"], batch["view2"]])
        with torch.no_grad():
            scores = torch.stack(self.average_head(class_token(self.average, views)).chunk(2))
            center = self.get_buffer("center")
            shares = ((scores - center) / self.sharpening).softmax(dim=-1)
            center.lerp_(scores.mean(dim=(0, 1)), 1 - self.centering)
        first, second = (self.head(class_token(self.vit, views)) / self.temperature).chunk(2)
        return (F.cross_entropy(first, shares[1]) + F.cross_entropy(second, shares[0])) / 2

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        return [
            (self.vit, other.get_submodule("encoders.image")),
            (self.average, other.get_submodule("encoders.momentum")),
            (self.head, other.get_submodule("projectors.image")),
            (self.average_head, other.get_submodule("projectors.momentum")),
        ]


class Head(nn.Module):
    """Three layers with GELU, unit length, and cosines with the prototypes."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(size.width, size.hidden),
            nn.GELU(),
            nn.Linear(size.hidden, size.hidden),
            nn.GELU(),
            nn.Linear(size.hidden, size.projection),
        )
        self.prototypes = nn.Linear(size.projection, size.prototypes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(l2(self.layers(x)), l2(self.prototypes.weight))
