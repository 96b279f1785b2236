"""`blur`: a Gaussian blur of random width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Transform, ViewState
from m3i_dsl.vocabulary.values import Fraction, NumberRange
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    import torch

    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class Blur(Transform):
    """Blurs with a Gaussian whose sigma, in pixels of the view, is uniform in `sigma`, with probability `p`.

    The kernel has the odd size at a tenth of the image, at least 3 (SimCLR: 23 at 224 px). SiameseIM uses `p: 100%` on
    its first view and `p: 10%` on its second.
    """

    name = "blur"
    effects = frozenset({Effect.RANDOM})

    sigma: NumberRange = argument((0.1, 2.0), doc="the range of the standard deviation", origin="SiameseIM", above=0)
    p: Fraction = argument(0.5, doc="how often", origin="SimCLR", minimum=0, maximum=1)

    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        from m3i_dsl.data.augment.rows import chosen, on_rows, per_row
        from m3i_dsl.data.augment.separable import blur

        rows = chosen(draws, self.p)
        sigmas = per_row(draws.at("sigma").between(*self.sigma), rows, images)
        return on_rows(images, rows, lambda some: blur(some, sigmas))
