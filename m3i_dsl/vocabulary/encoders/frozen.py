"""`frozen`: a teacher whose weights do not move."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Encoder
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Frozen(Encoder):
    """The architecture of another encoder with weights that stay; written `frozen of image("teacher.safetensors")`.

    Without a file it keeps the weights that the other encoder starts from.
    """

    name = "frozen"
    modality = "image"

    weights: str | None = argument(None, doc="safetensors file with timm's parameter names; relative to the recipe")

    def build(self) -> "nn.Module":
        raise TypeError("a frozen copy is made of the encoder that it is of")
