"""`text embedding`: one vector for each text."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import (
    TEXTS,
    Encoder,
    Normalization,
    Representation,
    RepresentationShape,
    TargetParts,
    V,
    text_encoder,
)
from m3i_dsl.vocabulary.limits import TINY_WIDTH
from m3i_dsl.vocabulary.modalities import Text
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class TextEmbedding(Representation):
    """The pooled output of a text encoder through a linear layer to E channels, on the unit sphere (CLIP)."""

    name = "text embedding"
    reads = Text
    encoder = "text"
    trained = True
    table = "text embedding"
    candidates = TEXTS
    chosen = True

    size: Count | None = argument(
        None, doc="channels E; the text encoder's width when left out", minimum=1, tiny=TINY_WIDTH
    )

    def width(self, encoder: Encoder | None, stride: int) -> int:
        return self.size or text_encoder(encoder).width

    def normalization(self) -> Normalization:
        return "l2"

    def target(self, parts: TargetParts[V]) -> V:
        tokens = parts.field()
        return parts.represent(parts.pool_text(parts.encode_text(tokens), tokens))

    def compared(self, parts: TargetParts[V], prediction: V, target: V) -> V:
        return parts.retrieve(prediction, target, parts.field())

    def build(self, shape: RepresentationShape) -> "nn.Module":
        from m3i_dsl.modules.tables import TextProjection

        ((width,),) = shape.arguments
        return TextProjection(width, shape.width)
