"""BYOL (Grill et al. 2020), both views in both roles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import Batch, Counterpart, Handwritten, average_of, l2, pooled, vit
from benchmarks.speed.size import Size


class BYOL(Handwritten):
    """2 - 2 cos between the prediction of one view and the averaged projection of the other."""

    momentum = 0.996

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.vit = vit(size)
        self.projector = mlp(size.width, size.hidden, size.projection)
        self.predictor = mlp(size.projection, size.hidden, size.projection)
        self.average, self.average_projector = average_of(self.vit, self.projector)

    def averaged(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        return ((self.average, self.vit), (self.average_projector, self.projector))

    def forward(self, batch: Batch) -> Tensor:
        views = (batch["view1"], batch["view2"])
        first, second = (l2(self.predictor(self.projector(pooled(self.vit, view)))) for view in views)
        with torch.no_grad():
            of_first, of_second = (l2(self.average_projector(pooled(self.average, view))) for view in views)
        return 4 - 2 * ((first * of_second).sum(dim=1).mean() + (second * of_first).sum(dim=1).mean())

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        return [
            (self.vit, other.get_submodule("encoders.image")),
            (self.average, other.get_submodule("encoders.momentum")),
            (self.projector, other.get_submodule("projectors.image")),
            (self.average_projector, other.get_submodule("projectors.momentum")),
            (self.predictor, other.get_submodule("predictors.byol_instance")),
        ]


def mlp(width: int, hidden: int, output: int) -> nn.Sequential:
    """Two layers with batch norm and ReLU between them."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, output)
    )
