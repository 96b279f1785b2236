"""`normalize`: channels centred and scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Transform, ViewState, WordError
from m3i_dsl.vocabulary.values import Numbers
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    import torch

    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class Normalize(Transform):
    """(x - mean) / std for each of red, green and blue, x in [0, 1]. The last step of a view; added when left out."""

    name = "normalize"

    mean: Numbers = argument((0.485, 0.456, 0.406), doc="the mean of each channel", origin="ImageNet")
    std: Numbers = argument((0.229, 0.224, 0.225), doc="the standard deviation of each channel", origin="ImageNet")

    def details(self) -> tuple[str, ...]:
        """Nothing: every view ends with it."""
        return ()

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3:
                raise WordError(
                    f"`{name}` of `normalize` has {len(values)} numbers",
                    argument=name,
                    help="write one number for each of red, green and blue",
                )
        if min(self.std) <= 0:
            raise WordError("`std` of `normalize` must be above 0", argument="std")
        return size

    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        from m3i_dsl.data.transfer import on_device

        mean, std = (on_device(values, images.device, images.dtype)[:, None, None] for values in (self.mean, self.std))
        return (images - mean) / std
