"""`three augment`: one of grayscale, solarize and blur."""

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
class ThreeAugment(Transform):
    """Does one of grayscale, solarize and blur to each image, with equal chances (Touvron et al. 2022, DeiT III)."""

    name = "three augment"
    effects = frozenset({Effect.RANDOM})

    threshold: Fraction = argument(
        0.5, doc="from which brightness on solarize inverts values", origin="DeiT III", minimum=0, maximum=1
    )
    sigma: NumberRange = argument((0.1, 2.0), doc="the range of the blur's sigma", origin="DeiT III", above=0)

    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        import numpy as np

        from m3i_dsl.data.augment.colour import grayscale, solarize
        from m3i_dsl.data.augment.rows import on_rows, per_row
        from m3i_dsl.data.augment.separable import blur

        which = np.floor(3 * draws.at("which").uniform())
        grays, solars, blurs = (np.flatnonzero(which == choice) for choice in range(3))
        sigmas = per_row(draws.at("sigma").between(*self.sigma), blurs, images)
        images = on_rows(images, grays, grayscale)
        images = on_rows(images, solars, lambda some: solarize(some, self.threshold))
        return on_rows(images, blurs, lambda some: blur(some, sigmas))
