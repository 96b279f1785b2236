"""MoCo v3 (Chen et al. 2021), both views in both roles, times 2 tau."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import (
    Batch,
    Counterpart,
    Handwritten,
    average_of,
    info_nce,
    l2,
    pooled,
    vit,
)
from benchmarks.speed.size import Size


class MoCoV3(Handwritten):
    """Queries of one view find keys of the other."""

    momentum = 0.99
    temperature = 0.2

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.vit = vit(size)
        self.projector = mlp(size.width, size.hidden, size.projection, layers=3)
        self.predictor = mlp(size.projection, size.hidden, size.projection, layers=2)
        self.average, self.average_projector = average_of(self.vit, self.projector)

    def averaged(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        return ((self.average, self.vit), (self.average_projector, self.projector))

    def forward(self, batch: Batch) -> Tensor:
        views = (batch["view1"], batch["view2"])
        queries = [l2(self.predictor(self.projector(pooled(self.vit, view)))) for view in views]
        with torch.no_grad():
            keys = [l2(self.average_projector(pooled(self.average, view))) for view in views]
        total = info_nce(queries[1], keys[0], self.temperature) + info_nce(queries[0], keys[1], self.temperature)
        return 2 * self.temperature * total

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        return [
            (self.vit, other.get_submodule("encoders.image")),
            (self.average, other.get_submodule("encoders.momentum")),
            (self.projector, other.get_submodule("projectors.image")),
            (self.average_projector, other.get_submodule("projectors.momentum")),
            (self.predictor, other.get_submodule("predictors.moco_v3_instance")),
        ]


def mlp(width: int, hidden: int, output: int, *, layers: int) -> nn.Sequential:
    """Linear layers without bias, batch norm and ReLU between them, batch norm without affine at the end."""
    parts: list[nn.Module] = []
    for index in range(layers - 1):
        parts += [nn.Linear(width if index == 0 else hidden, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(True)]
    return nn.Sequential(*parts, nn.Linear(hidden, output, bias=False), nn.BatchNorm1d(output, affine=False))
