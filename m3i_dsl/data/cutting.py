"""Views cut from single pictures, where these are decoded.

Takes: the steps of a view up to the one that fixes its size, and pictures of any sizes. Gives: uint8 pixels of that
size, and where they come from. Guarantees: a box is cut from the picture as stored and resampled once; where it lies is
a function of (seed, epoch, sample, slot) and the picture's size; what is left of the view is done to the whole batch,
and the two give what doing all of it on the batch does, but for rounding to 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from m3i_dsl.data.augment.geometry import cut
from m3i_dsl.data.views import Step
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import ViewState, Window


@dataclass(frozen=True, slots=True)
class Cut:
    """What is done to each picture of `field` for a view: `steps`, of which the last fixes the (height, width) `size`.

    `seed` and `slot` are those of the view's draws.
    """

    view: str
    field: str
    size: tuple[int, int]
    steps: tuple[Step, ...]
    seed: int
    slot: str


class Cutting:
    """The pictures of some samples being cut for one view. `state` is that of the images cut so far."""

    def __init__(self, cut_: Cut, epoch: int, samples: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        """int64 [R] `samples` and the [R, 2] `sizes` of their pictures."""
        self.cut, self._epoch, self._samples = cut_, epoch, samples.copy()
        self.state = ViewState.whole(sizes)
        self._window = self._followed()

    def shown(self, pixels: NDArray[np.uint8], row: int) -> NDArray[np.uint8]:
        """uint8 [h, w, 3] of the picture of `row`, uint8 [H, W, 3]."""
        if self._window is None:
            return self._applied(pixels, row)
        return cut(pixels, self._window, row, bool(self.state.flipped[row]))

    def replace(self, row: int, sample: int, size: tuple[int, int]) -> None:
        """Another sample stands at `row`."""
        other = Cutting(self.cut, self._epoch, np.array([sample]), np.array([size]))
        self._samples[row] = sample
        self.state.put(row, other.state)
        if self._window is not None and other._window is not None:
            self._window.boxes[row] = other._window.boxes[0]

    def _followed(self) -> Window | None:
        """Follows the moves of all rows at once. None, with `state` left alone, when some step changes values."""
        draws = self._draws(slice(None))
        state, window = ViewState.whole(self.state.sizes), None
        for step in self.cut.steps:
            move = step.transform.move(state, draws.at(step.slot))
            if move is None:
                return None
            move.follow(state)
            window = move if isinstance(move, Window) else window
        self.state = state
        return window

    def _applied(self, pixels: NDArray[np.uint8], row: int) -> NDArray[np.uint8]:
        """Each step on a batch of one."""
        state, draws = ViewState.whole(self.state.sizes[row : row + 1]), self._draws(slice(row, row + 1))
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div_(255)
        for step in self.cut.steps:
            images = step.transform.apply(images, state, draws.at(step.slot))
        self.state.put(row, state)
        return images.mul(255).round_().clamp_(0, 255).byte()[0].permute(1, 2, 0).numpy()

    def _draws(self, rows: slice) -> Draws:
        return Draws(self.cut.seed, self._epoch, self._samples[rows], self.cut.slot)
