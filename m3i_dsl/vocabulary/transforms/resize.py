"""`resize`: the whole image on a square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Transform, ViewState
from m3i_dsl.vocabulary.values import Pixels
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    import torch

    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class Resize(Transform):
    """All of the image on `size` x `size`, antialiased; an image that is not square is stretched.

    `center crop` keeps the aspect instead and cuts the longer side.
    """

    name = "resize"

    size: Pixels = argument(doc="height and width of the view", minimum=1)
    interpolation: Literal["bicubic", "bilinear"] = argument("bicubic", doc="the kernel of the resize")

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        return self.size, self.size

    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        import numpy as np

        from m3i_dsl.data.augment.geometry import crop

        whole = np.concatenate([np.zeros_like(state.boxes[:, :2]), state.boxes[:, 2:]], axis=1)
        return crop(images, state, whole, (self.size, self.size), self.interpolation)
