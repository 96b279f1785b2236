"""`random`: tokens hidden independently of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Grid, Mask
from m3i_dsl.vocabulary.masks.counts import ROUNDING, possible, smallest
from m3i_dsl.vocabulary.values import Fraction, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class RandomMask(Mask):
    """Hides a random set of tokens; int(L (1 - ratio)) of L stay visible (He et al. 2021, MAE)."""

    name = "random"
    effects = frozenset({Effect.RANDOM})

    ratio: Fraction = argument(0.75, doc="the share of hidden tokens", origin="MAE", above=0, below=1)
    tokens: Literal["drop", "mask"] = argument(
        "drop", doc="hidden tokens do not enter the encoder, or a learned mask token replaces them", origin="MAE"
    )

    def details(self) -> tuple[str, ...]:
        return (number_text(self.ratio, "%"),)

    def hidden(self, grid: Grid, stride: int) -> int:
        visible = int(grid.tokens * (1 - self.ratio) + ROUNDING)
        return possible(grid.tokens - visible, self.ratio, grid)

    def sample(self, draws: Draws, grid: Grid, stride: int) -> NDArray[np.bool_]:
        return smallest(draws.uniform(grid.tokens), self.hidden(grid, stride))
