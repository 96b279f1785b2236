"""`category embedding`: a trained vector for each category."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import CATEGORIES, Encoder, Representation, RepresentationShape, TargetParts, V
from m3i_dsl.vocabulary.limits import TINY_WIDTH
from m3i_dsl.vocabulary.modalities import Category
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class CategoryEmbedding(Representation):
    """The row W[c] of a trained class table, C x E: the weights of a linear classifier.

    With `bias` each category also has a bias, which is one more coordinate of its embedding.
    """

    name = "category embedding"
    reads = Category
    encoder = None
    trained = True
    table = "category embedding"
    candidates = CATEGORIES
    chosen = True

    size: Count | None = argument(
        None, doc="channels E; as wide as the predictor's input when left out", minimum=1, tiny=TINY_WIDTH
    )
    bias: bool = argument(True, doc="whether each category has a bias", origin="timm")

    def width(self, encoder: Encoder | None, stride: int) -> int:
        """E, or 0 when it follows the predictor's input."""
        return self.size or 0

    def target(self, parts: TargetParts[V]) -> V:
        return parts.table()[0]

    def compared(self, parts: TargetParts[V], prediction: V, target: V) -> V:
        return parts.classify(prediction, target, parts.table()[1], parts.aligned(parts.field()))

    def build(self, shape: RepresentationShape) -> "nn.Module":
        from m3i_dsl.modules.tables import ClassTable

        return ClassTable(shape.rows, shape.width, bias=self.bias)
