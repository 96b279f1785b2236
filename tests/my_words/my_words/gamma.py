"""`gamma`: darker or lighter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import Transform, ViewState, WordError
from m3i_dsl.vocabulary.values import Fraction, NumberRange
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Gamma(Transform):
    """Raises the image to a power g with probability `p`: x becomes x^g, log g uniform in the logarithm of `power`."""

    name = "gamma"
    effects = frozenset({Effect.RANDOM})

    power: NumberRange = argument((0.5, 2.0), doc="below 1 is lighter, above 1 darker", above=0)
    p: Fraction = argument(0.5, doc="how often", minimum=0, maximum=1)

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        low, high = self.power
        if not low <= 1 <= high:
            raise WordError(
                f"no power from {low:g} to {high:g} leaves an image as it is",
                argument="power",
                help="choose a range that holds 1",
            )
        return size

    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        import numpy as np
        import torch

        low, high = np.log(self.power)
        powers = np.exp(draws.at("power").between(low, high))
        powers = np.where(draws.at("p").uniform() < self.p, powers, 1.0)
        return images ** torch.from_numpy(powers).to(images)[:, None, None, None]
