"""`jitter`: random brightness, contrast, saturation and hue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Transform, ViewState
from m3i_dsl.vocabulary.values import Fraction, Number
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    import torch

    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class Jitter(Transform):
    """Changes brightness, contrast, saturation and hue, in an order drawn for each image.

    The first three multiply by a factor uniform in [max(0, 1 - a), 1 + a]; hue turns by a share of the circle uniform
    in [-a, a]. As torchvision's ColorJitter, which SimCLR, BYOL and SiameseIM use.
    """

    name = "jitter"
    effects = frozenset({Effect.RANDOM})

    brightness: Number = argument(0.4, doc="strength of the change of brightness", origin="SiameseIM", minimum=0)
    contrast: Number = argument(0.4, doc="strength of the change of contrast", origin="SiameseIM", minimum=0)
    saturation: Number = argument(0.2, doc="strength of the change of saturation", origin="SiameseIM", minimum=0)
    hue: Number = argument(0.1, doc="largest turn of hue", origin="SiameseIM", minimum=0, maximum=0.5)
    p: Fraction = argument(0.8, doc="how often", origin="SiameseIM", minimum=0, maximum=1)

    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        import numpy as np

        from m3i_dsl.data.augment.colour import jitter
        from m3i_dsl.data.augment.rows import chosen, on_rows

        strengths = np.array([self.brightness, self.contrast, self.saturation])
        low, high = np.append(np.maximum(0, 1 - strengths), -self.hue), np.append(1 + strengths, self.hue)
        rows = chosen(draws, self.p)
        factors = (low + (high - low) * draws.at("factors").uniform(4))[rows]
        order = draws.at("order").uniform(4).argsort(axis=1)[rows]
        return on_rows(images, rows, lambda some: jitter(some, factors, order))
