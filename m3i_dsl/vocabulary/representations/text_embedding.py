"""`text embedding`: one vector for each text."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import TEXTS, Encoder, Normalization, Representation, TextEncoder
from m3i_dsl.vocabulary.limits import TINY_WIDTH
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class TextEmbedding(Representation):
    """The pooled output of a text encoder through a linear layer to E channels, on the unit sphere (CLIP)."""

    name = "text embedding"
    reads = "text"
    encoder = "text"
    trained = True
    table = "text embedding"
    candidates = TEXTS
    chosen = True

    size: Count | None = argument(
        None, doc="channels E; the text encoder's width when left out", minimum=1, tiny=TINY_WIDTH
    )

    def width(self, encoder: Encoder | None, stride: int) -> int:
        assert isinstance(encoder, TextEncoder)
        return self.size or encoder.width

    def normalization(self) -> Normalization:
        return "l2"

    def build(self, input_width: int, width: int, categories: int) -> "nn.Module":
        from m3i_dsl.modules.tables import TextProjection

        return TextProjection(input_width, width)
