"""`frozen`: a teacher whose weights do not move."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import EncoderCopy
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class Frozen(EncoderCopy):
    """The architecture of another encoder with weights that stay; written `frozen of image("teacher.safetensors")`.

    Without a file it keeps the weights that the other encoder starts from.
    """

    name = "frozen"

    weights: str | None = argument(None, doc="safetensors file with timm's parameter names; relative to the recipe")

    def starts_from(self) -> str | None:
        return self.weights
