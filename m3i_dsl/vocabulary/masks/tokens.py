"""`tokens`: tokens of a text hidden independently of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Grid, TextMask
from m3i_dsl.vocabulary.masks.counts import ROUNDING, some_of
from m3i_dsl.vocabulary.values import Fraction, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class TokensMask(TextMask):
    """Hides a random set of the tokens of each text, at least one; never what begins or ends it, and no padding.

    Of n tokens the number nearest to n times the ratio is hidden (Devlin et al. 2019, BERT: 15%), each behind the
    learned mask token; BERT itself leaves some as they are, or shows others.
    """

    name = "tokens"
    effects = frozenset({Effect.RANDOM})

    ratio: Fraction = argument(0.15, doc="the share of hidden tokens of each text", origin="BERT", above=0, below=1)

    def details(self) -> tuple[str, ...]:
        return (number_text(self.ratio, "%"),)

    def hidden(self, grid: Grid, stride: int) -> int:
        return max(1, int(grid.tokens * self.ratio + 0.5 + ROUNDING))

    def sample_texts(self, draws: Draws, hideable: NDArray[np.bool_]) -> NDArray[np.bool_]:
        import numpy as np

        lengths = hideable.sum(axis=1)
        counts = np.floor(lengths * self.ratio + 0.5 + ROUNDING).astype(np.int64)
        return some_of(hideable, np.minimum(np.maximum(counts, 1), lengths), draws)
