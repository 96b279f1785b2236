"""`inverse blocks`: square blocks stay visible, the rest is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Grid, Mask, WordError
from m3i_dsl.vocabulary.masks.counts import nearest, some_of
from m3i_dsl.vocabulary.values import Count, Fraction, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class InverseBlocksMask(Mask):
    """Keeps random square blocks visible, added one by one until enough tokens are visible, and hides the rest.

    Blocks overlap and are cut at the border. Random tokens of the last block are hidden again, so that the count is
    exact (Baevski et al. 2022, data2vec 2, which adjusts the count with random tokens of the whole mask).
    """

    name = "inverse blocks"
    effects = frozenset({Effect.RANDOM})

    ratio: Fraction = argument(
        0.8, doc="the share of hidden tokens; the count is rounded", origin="data2vec 2", above=0, below=1
    )
    block: Count = argument(
        3, doc="height and width of a visible block, in tokens", origin="data2vec 2", minimum=1, tiny=2
    )
    tokens: Literal["drop", "mask"] = argument(
        "drop", doc="hidden tokens do not enter the encoder, or a learned mask token replaces them", origin="data2vec 2"
    )

    def details(self) -> tuple[str, ...]:
        return (number_text(self.ratio, "%"),)

    def hidden(self, grid: Grid, stride: int) -> int:
        if self.block > min(grid.rows, grid.columns):
            raise WordError(
                f"a block of {self.block}x{self.block} tokens is larger than the {grid} grid", argument="block"
            )
        return nearest(self.ratio, grid)

    def sample(self, draws: Draws, grid: Grid, stride: int) -> NDArray[np.bool_]:
        import numpy as np

        visible_count = grid.tokens - self.hidden(grid, stride)
        centres = np.argsort(draws.at("centres").uniform(grid.tokens), axis=1, kind="stable")
        rows, columns = np.arange(grid.rows)[None, :], np.arange(grid.columns)[None, :]
        visible = np.zeros((len(draws.samples), grid.rows, grid.columns), dtype=np.bool_)
        last = np.zeros_like(visible)
        for centre in centres.T:
            enough = visible.sum(axis=(1, 2)) >= visible_count
            if enough.all():
                break
            tops, lefts = np.divmod(centre[:, None], grid.columns)
            tops, lefts = tops - self.block // 2, lefts - self.block // 2
            in_rows = (rows >= tops) & (rows < tops + self.block)
            in_columns = (columns >= lefts) & (columns < lefts + self.block)
            block = in_rows[:, :, None] & in_columns[:, None, :] & ~visible & ~enough[:, None, None]
            visible |= block
            last = np.where(enough[:, None, None], last, block)
        # What the last block added beyond the count is hidden again, at random.
        visible, last = visible.reshape(len(visible), -1), last.reshape(len(last), -1)
        earlier = visible & ~last
        return ~(earlier | some_of(last, visible_count - earlier.sum(axis=1), draws.at("rest")))
