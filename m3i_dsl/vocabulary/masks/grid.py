"""`grid`: square cells of the image hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Grid, Mask, WordError
from m3i_dsl.vocabulary.limits import Limits
from m3i_dsl.vocabulary.masks.counts import ROUNDING, possible, smallest
from m3i_dsl.vocabulary.values import Fraction, Pixels, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class GridMask(Mask):
    """Divides the image into cells of `cell` pixels and hides a random set of them: ceil(ratio * cells).

    A cell is one token or several, so that an encoder with small patches still has holes too large to be filled from
    their border (Xie et al. 2021, SimMIM).
    """

    name = "grid"
    effects = frozenset({Effect.RANDOM})

    ratio: Fraction = argument(0.6, doc="the share of hidden cells", origin="SimMIM", above=0, below=1)
    cell: Pixels = argument(32, doc="height and width of a cell, a multiple of the token's", origin="SimMIM", minimum=1)
    tokens: Literal["drop", "mask"] = argument(
        "mask", doc="hidden tokens do not enter the encoder, or a learned mask token replaces them", origin="SimMIM"
    )

    def details(self) -> tuple[str, ...]:
        return (number_text(self.ratio, "%"),)

    def hidden(self, grid: Grid, stride: int) -> int:
        cells = self._cells(grid, stride)
        side = self.cell // stride
        return possible(self._hidden_cells(cells) * side * side, self.ratio, grid)

    def sample(self, draws: Draws, grid: Grid, stride: int) -> NDArray[np.bool_]:
        self.hidden(grid, stride)
        cells = self._cells(grid, stride)
        side = self.cell // stride
        hidden = smallest(draws.uniform(cells.tokens), self._hidden_cells(cells))
        tokens = hidden.reshape(-1, cells.rows, cells.columns).repeat(side, axis=1).repeat(side, axis=2)
        return tokens.reshape(len(hidden), -1)

    def shrunk(self, limits: Limits) -> GridMask:
        """A cell of at most 2x2 tokens."""
        old, new = limits.stride or (self.cell, self.cell)
        return replace(self, cell=min(2, self.cell // old) * new)

    def _hidden_cells(self, cells: Grid) -> int:
        return math.ceil(cells.tokens * self.ratio - ROUNDING)

    def _cells(self, grid: Grid, stride: int) -> Grid:
        """The grid of cells. Raises WordError when they do not fall on tokens or do not fill the image."""
        if self.cell % stride:
            multiple = max(1, round(self.cell / stride)) * stride
            raise WordError(
                f"a cell of {self.cell}px is not a whole number of tokens of {stride}px",
                argument="cell",
                help=f"write `cell: {multiple}px`",
            )
        side = self.cell // stride
        if grid.rows % side or grid.columns % side:
            fitting = math.gcd(grid.rows, grid.columns) * stride
            raise WordError(
                f"cells of {self.cell}px do not fill an image of {grid.rows * stride}x{grid.columns * stride}px",
                argument="cell",
                help=f"choose a cell that divides {fitting}px and is a multiple of {stride}px",
            )
        return Grid(grid.rows // side, grid.columns // side)
