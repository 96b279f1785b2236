"""`center crop`: the middle of the image, without randomness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Transform, ViewState
from m3i_dsl.vocabulary.values import Fraction, Pixels
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    import torch

    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class CenterCrop(Transform):
    """The largest centred square, or `share` of its side, resized to `size` x `size` with antialiasing.

    `share: 87.5%` is the usual "resize to 256, crop 224".
    """

    name = "center crop"

    size: Pixels = argument(doc="height and width of the view", minimum=1)
    share: Fraction = argument(1.0, doc="the side of the square, of the image's shorter side", above=0, maximum=1)
    interpolation: Literal["bicubic", "bilinear"] = argument("bicubic", doc="the kernel of the resize")

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        return self.size, self.size

    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        from m3i_dsl.data.augment.boxes import centred_boxes
        from m3i_dsl.data.augment.geometry import crop

        boxes = centred_boxes(state.boxes[:, 2:], 1.0, self.share)
        return crop(images, state, boxes, (self.size, self.size), self.interpolation)
