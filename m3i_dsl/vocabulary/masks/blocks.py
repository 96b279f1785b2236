"""`blocks`: tokens hidden in rectangles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Grid, Mask, WordError
from m3i_dsl.vocabulary.masks.counts import ROUNDING, exact, nearest
from m3i_dsl.vocabulary.values import Count, Fraction, FractionOrRange, NumberRange, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from m3i_dsl.vocabulary.draws import Draws

ATTEMPTS = 10
"""Rectangles tried in a row without success before the rest is filled with single tokens, as in BEiT."""

ROUNDS = 64
"""Rectangles tried in all. Far more than a mask takes (about 10 at 14x14); a bound on the numbers to draw."""


@dataclass(frozen=True, slots=True)
class BlocksMask(Mask):
    """Hides random rectangles until the share is reached, and single random tokens for what no rectangle fits.

    The area of a rectangle is uniform from `minimum` to what is still to hide, its aspect (height / width) log-uniform;
    one that would hide too much is drawn again (Bao et al. 2021, BEiT). The last tokens are drawn one by one, so that
    every image hides exactly its number (SiameseIM; BEiT itself may stop short). That is the same for all images; with
    a range, each image draws its own ratio, and with a `share`, only so many images are masked (iBOT).
    """

    name = "blocks"
    effects = frozenset({Effect.RANDOM})

    ratio: FractionOrRange = argument(
        0.6,
        doc="the share of hidden tokens, or a range of it; the count is rounded (118 of 196)",
        origin="SiameseIM",
        above=0,
        below=1,
    )
    minimum: Count = argument(16, doc="the least area of a rectangle, in tokens", origin="BEiT", minimum=1, tiny=2)
    aspect: NumberRange = argument((0.3, 3.3333), doc="the aspect of a rectangle", origin="BEiT", above=0)
    tokens: Literal["drop", "mask"] = argument(
        "drop", doc="hidden tokens do not enter the encoder, or a learned mask token replaces them", origin="SiameseIM"
    )
    share: Fraction = argument(1.0, doc="the probability that an image is masked", above=0, maximum=1)

    def details(self) -> tuple[str, ...]:
        low, high = self._range()
        ratio = number_text(low, "%") if low == high else f"{number_text(low, '%')}..{number_text(high, '%')}"
        return (ratio, *((f"of {number_text(self.share, '%')} of the images",) if self.share < 1 else ()))

    def varies(self) -> bool:
        low, high = self._range()
        return low < high or self.share < 1

    def _range(self) -> tuple[float, float]:
        return self.ratio if isinstance(self.ratio, tuple) else (self.ratio, self.ratio)

    def hidden(self, grid: Grid, stride: int) -> int:
        if self.varies() and self.tokens == "drop":
            raise WordError(
                "images differ in how many tokens are hidden, so these cannot be dropped",
                argument="tokens" if self.share == 1 else "share",
                help="write `tokens: mask`",
            )
        low, high = self._range()
        count = nearest(low, grid)
        if self.minimum > count:
            raise WordError(
                f"a block of {self.minimum} tokens is more than the {count} hidden tokens of a {grid} grid",
                argument="minimum",
                help=f"write `minimum: {max(1, count // 4)}`",
            )
        return nearest(high, grid)

    def sample(self, draws: Draws, grid: Grid, stride: int) -> NDArray[np.bool_]:
        import numpy as np

        batch = len(draws.samples)
        counts = np.full(batch, self.hidden(grid, stride))
        if self.varies():
            ratios = draws.at("ratio").between(*self._range())
            masked = draws.at("share").uniform() < self.share
            counts = np.where(masked, np.floor(grid.tokens * ratios + 0.5 + ROUNDING), 0).astype(np.int64)
        numbers = draws.at("blocks").uniform(ROUNDS, 4)
        rows, columns = np.arange(grid.rows)[None, :], np.arange(grid.columns)[None, :]
        hidden = np.zeros((batch, grid.rows, grid.columns), dtype=np.bool_)
        failures = np.zeros(batch, dtype=np.int64)
        low, high = math.log(self.aspect[0]), math.log(self.aspect[1])
        for area_draw, aspect_draw, top_draw, left_draw in np.moveaxis(numbers, (1, 2), (0, 1)):
            missing = counts - hidden.sum(axis=(1, 2))
            if ((missing == 0) | (failures >= ATTEMPTS)).all():
                break
            area = self.minimum + area_draw * (missing - self.minimum)
            root = np.exp((low + aspect_draw * (high - low)) / 2)
            heights = np.rint(np.sqrt(np.maximum(area, 0)) * root)
            widths = np.rint(np.sqrt(np.maximum(area, 0)) / root)
            tops = np.floor(top_draw * (grid.rows - heights + 1))[:, None]
            lefts = np.floor(left_draw * (grid.columns - widths + 1))[:, None]
            in_rows = (rows >= tops) & (rows < tops + heights[:, None])
            in_columns = (columns >= lefts) & (columns < lefts + widths[:, None])
            added = in_rows[:, :, None] & in_columns[:, None, :] & ~hidden
            new = added.sum(axis=(1, 2))
            # One at a time for every image, each counting its own failures: an image is done after ten in a row.
            fits = (heights < grid.rows) & (widths < grid.columns) & (new > 0) & (new <= missing)
            fits &= failures < ATTEMPTS
            hidden |= added & fits[:, None, None]
            failures = np.where(fits, 0, failures + 1)
        return exact(hidden.reshape(batch, -1), counts, draws.at("rest"))
