"""`attention pool`: one vector by attention over the tokens."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Predictor, PredictorCall, PredictorShape, WordError
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class AttentionPool(Predictor):
    """The mean token attends to all tokens, then a linear layer: InternImage's pooling for text and category targets.

    Separate layer norms for query, keys and values; no residual, no MLP. Of a mix it sees the own tokens only.
    """

    name = "attention pool"
    pools = True

    heads: Count = argument(16, doc="attention heads", origin="InternImage", minimum=1, tiny=2)

    def check(self, call: PredictorCall) -> None:
        if call.input_width % self.heads:
            raise WordError(f"{self.heads} heads do not divide {call.input_width} channels", argument="heads")
        if call.target_grid is not None:
            raise WordError(
                "`attention pool` yields one vector, and the target is dense", help="use `linear` or `decoder`"
            )

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors.attention_pool import AttentionPoolHead

        return AttentionPoolHead(shape.input_width, shape.output_width, heads=self.heads)
