"""`solarize`: bright values inverted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Transform, ViewState
from m3i_dsl.vocabulary.values import Fraction
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    import torch

    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class Solarize(Transform):
    """Inverts every value at or above `threshold` of full brightness, with probability `p`."""

    name = "solarize"
    effects = frozenset({Effect.RANDOM})

    threshold: Fraction = argument(
        0.5, doc="from which brightness on values are inverted", origin="BYOL", minimum=0, maximum=1
    )
    p: Fraction = argument(0.2, doc="how often", origin="SiameseIM", minimum=0, maximum=1)

    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        from m3i_dsl.data.augment.colour import solarize
        from m3i_dsl.data.augment.rows import chosen, on_rows

        return on_rows(images, chosen(draws, self.p), lambda some: solarize(some, self.threshold))
