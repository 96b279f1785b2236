"""`gradient histogram`: which way the edges of a patch run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Encoder, Representation, RepresentationShape, TargetParts, V
from m3i_dsl.vocabulary.modalities import Image
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class GradientHistogram(Representation):
    """A histogram of oriented gradients for each patch, of length 1 (HOG, Dalal and Triggs 2005; MaskFeat 2022).

    A gradient of length m and angle a, of either sign, adds m to the two bins next to a, by its distance to them.
    """

    name = "gradient histogram"
    has_grid = True
    reads = Image
    encoder = None
    table = "gradient histogram"

    bins: Count = argument(9, doc="directions", origin="MaskFeat", minimum=2)

    def width(self, encoder: Encoder | None, stride: int) -> int:
        return self.bins

    def target(self, parts: TargetParts[V]) -> V:
        return parts.aligned(parts.represent(parts.patchify(parts.image(), normalize=False)))

    def build(self, shape: RepresentationShape) -> nn.Module:
        ((_, values),) = shape.arguments
        return histogram(self.bins, round((values // 3) ** 0.5))


def histogram(bins: int, side: int) -> nn.Module:
    """The module; in a function, so that torch is imported when a module is wanted and not before."""
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F

    class Histogram(nn.Module):
        def forward(self, patches: Tensor) -> Tensor:
            """[B, L, 3 side^2] in the order (row, column, channel) -> [B, L, bins]."""
            grey = patches.unflatten(-1, (side, side, 3)).mean(dim=-1)
            down, right = torch.gradient(grey, dim=(-2, -1))
            angle = torch.atan2(down, right).remainder(torch.pi) / torch.pi * bins
            near = torch.arange(bins, device=patches.device, dtype=patches.dtype)
            distance = (angle.flatten(2).unsqueeze(-1) - near).abs()
            share = (1 - torch.minimum(distance, bins - distance)).clamp(min=0)
            length = torch.hypot(down, right).flatten(2).unsqueeze(-1)
            return F.normalize((length * share).sum(dim=2), dim=-1, eps=1e-3)

    return Histogram()
