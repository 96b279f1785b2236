"""`code embedding`: a trained vector for each code of a tokenizer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import (
    CODES,
    Encoder,
    Predictor,
    Representation,
    RepresentationShape,
    TargetParts,
    V,
)
from m3i_dsl.vocabulary.limits import TINY_WIDTH
from m3i_dsl.vocabulary.modalities import Image
from m3i_dsl.vocabulary.predictors.identity import Identity
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class CodeEmbedding(Representation):
    """The row W[k] of a trained table, K x E, where k is the code of a token: B x L x E (BEiT, BEiT v2).

    Codes are those of a frozen encoder whose projector ends in a codebook. With the predictor `identity` and the
    regularization `negative codes` the loss is that of a linear classifier over the codes (`lm_head`, unilm:
    beit/modeling_pretrain.py).
    """

    name = "code embedding"
    has_grid = True
    reads = Image
    encoder = "image"
    trained = True
    table = "code embedding"
    candidates = CODES
    chosen = True
    coded = True

    size: Count | None = argument(
        None, doc="channels E; as wide as the predictor's input when left out", minimum=1, tiny=TINY_WIDTH
    )
    bias: bool = argument(True, doc="whether each code has a bias", origin="BEiT")

    def default_predictor(self, same_view: bool) -> Predictor:
        return Identity()

    def width(self, encoder: Encoder | None, stride: int) -> int:
        """E, or 0 when it follows the predictor's input."""
        return self.size or 0

    def target(self, parts: TargetParts[V]) -> V:
        return parts.table(parts.codes()[1])[0]

    def compared(self, parts: TargetParts[V], prediction: V, target: V) -> V:
        codes, count = parts.codes()
        return parts.classify(prediction, target, parts.table(count)[1], parts.aligned(codes))

    def build(self, shape: RepresentationShape) -> "nn.Module":
        from m3i_dsl.modules.tables import ClassTable

        return ClassTable(shape.rows, shape.width, bias=self.bias)
