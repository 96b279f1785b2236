"""`resize`: the whole image on a square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import GeometricTransform, Interpolation, ViewState, Window
from m3i_dsl.vocabulary.values import Pixels
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class Resize(GeometricTransform):
    """All of the image on `size` x `size`, antialiased; an image that is not square is stretched.

    `center crop` keeps the aspect instead and cuts the longer side.
    """

    name = "resize"

    size: Pixels = argument(doc="height and width of the view", minimum=1)
    interpolation: Interpolation = argument("bicubic", doc="the kernel of the resize")

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        return self.size, self.size

    def move(self, state: ViewState, draws: Draws) -> Window:
        import numpy as np

        whole = np.concatenate([np.zeros_like(state.boxes[:, :2]), state.boxes[:, 2:]], axis=1)
        return Window(whole, (self.size, self.size), self.interpolation)
