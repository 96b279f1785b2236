"""`center crop`: the middle of the image, without randomness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import GeometricTransform, Interpolation, ViewState, Window
from m3i_dsl.vocabulary.values import Fraction, Pixels
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class CenterCrop(GeometricTransform):
    """The largest centred square, or `share` of its side, resized to `size` x `size` with antialiasing.

    `share: 87.5%` is the usual "resize to 256, crop 224".
    """

    name = "center crop"

    size: Pixels = argument(doc="height and width of the view", minimum=1)
    share: Fraction = argument(1.0, doc="the side of the square, of the image's shorter side", above=0, maximum=1)
    interpolation: Interpolation = argument("bicubic", doc="the kernel of the resize")

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        return self.size, self.size

    def move(self, state: ViewState, draws: Draws) -> Window:
        from m3i_dsl.data.augment.boxes import centred_boxes

        boxes = centred_boxes(state.boxes[:, 2:], 1.0, self.share)
        return Window(boxes, (self.size, self.size), self.interpolation)
