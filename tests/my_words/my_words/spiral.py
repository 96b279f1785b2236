"""`spiral`: hidden tokens along a spiral."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import Grid, Mask, WordError
from m3i_dsl.vocabulary.values import Fraction
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spiral(Mask):
    """Hides a stretch of the spiral that winds from the first token clockwise to the middle, begun at random.

    What runs over the end of the spiral goes on at its start.
    """

    name = "spiral"
    effects = frozenset({Effect.RANDOM})

    ratio: Fraction = argument(0.6, doc="of the tokens are hidden", above=0, below=1)
    tokens: Literal["drop", "mask"] = argument(
        "drop", doc="hidden tokens do not enter the encoder, or a learned mask token replaces them"
    )

    def hidden(self, grid: Grid, stride: int) -> int:
        count = round(self.ratio * grid.tokens)
        if not 0 < count < grid.tokens:
            raise WordError(
                f"{count} of the {grid.tokens} tokens of a {grid} grid would be hidden",
                argument="ratio",
                help="leave something to see and something to predict",
            )
        return count

    def sample(self, draws: Draws, grid: Grid, stride: int) -> NDArray[np.bool_]:
        import numpy as np

        begin = (draws.uniform() * grid.tokens).astype(np.int64)
        along = (_places(grid)[None, :] - begin[:, None]) % grid.tokens
        return along < self.hidden(grid, stride)


def _places(grid: Grid) -> NDArray[np.int64]:
    """int64 [L]: how far along the spiral each token of the grid lies."""
    import numpy as np

    left = np.arange(grid.tokens).reshape(grid.rows, grid.columns)
    order: list[int] = []
    while left.size:
        order.extend(left[0])
        left = np.rot90(left[1:])
    places = np.empty(grid.tokens, dtype=np.int64)
    places[order] = np.arange(grid.tokens)
    return places
