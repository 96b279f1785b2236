"""Barlow Twins (Zbontar et al. 2021): the cross-correlation of two views becomes the identity."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from benchmarks.speed.handwritten.model import Batch, Counterpart, Handwritten, pooled, vit
from benchmarks.speed.size import Size


class BarlowTwins(Handwritten):
    """The off-diagonal sum is that of all entries less that of the diagonal: no copy without the diagonal is made."""

    weight = 0.0051

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.vit = vit(size)
        parts: list[nn.Module] = []
        for width in (size.width, size.correlated):
            parts += [
                nn.Linear(width, size.correlated, bias=False),
                nn.BatchNorm1d(size.correlated),
                nn.ReLU(inplace=True),
            ]
        self.projector = nn.Sequential(*parts, nn.Linear(size.correlated, size.correlated, bias=False))
        # Not a part of the model that is kept: its statistics are read by nobody.
        self.standardize = nn.BatchNorm1d(size.correlated, affine=False, track_running_stats=False)

    def forward(self, batch: Batch) -> Tensor:
        first, second = (self.standardize(self.projector(pooled(self.vit, batch[view]))) for view in ("view1", "view2"))
        correlation = first.T @ second / len(first)
        diagonal = correlation.diagonal()
        others = correlation.square().sum() - diagonal.square().sum()
        return (diagonal - 1).square().sum() + self.weight * others

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        return [
            (self.vit, other.get_submodule("encoders.image")),
            (self.projector, other.get_submodule("projectors.image")),
        ]
