"""`crop`: a random part of the image, resized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import GeometricTransform, Interpolation, ViewState, Window
from m3i_dsl.vocabulary.values import FractionRange, NumberRange, Pixels
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class Crop(GeometricTransform):
    """A random box of the image, resized to `size` x `size` with antialiasing.

    The box covers a uniform share of the area with a log-uniform aspect and lies anywhere in the image (Szegedy et
    al. 2015; torchvision's RandomResizedCrop). It is drawn in whole pixels of the image as stored, cut from it and
    resampled once; where the image lies on a square canvas, it keeps its true aspect. The view's geometry, which
    relative positions are computed from, is this box.
    """

    name = "crop"
    effects = frozenset({Effect.RANDOM})

    size: Pixels = argument(doc="height and width of the view", minimum=1)
    scale: FractionRange = argument(
        (0.08, 1.0), doc="the share of the image's area", origin="SiameseIM", above=0, maximum=1
    )
    ratio: NumberRange = argument(
        (0.75, 1.3333), doc="the aspect of the box, width / height", origin="torchvision", above=0
    )
    interpolation: Interpolation = argument("bicubic", doc="the kernel of the resize", origin="SiameseIM")

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        return self.size, self.size

    def move(self, state: ViewState, draws: Draws) -> Window:
        from m3i_dsl.data.augment.boxes import random_boxes

        boxes = random_boxes(state.boxes[:, 2:], self.scale, self.ratio, draws)
        return Window(boxes, (self.size, self.size), self.interpolation)
