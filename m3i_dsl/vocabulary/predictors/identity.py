"""`identity`: the features are the prediction."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Pooling, Predictor, PredictorCall, PredictorShape, WordError
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Identity(Predictor):
    """zh = z_x, pooled when the target is one vector. The target must be as wide as the features."""

    name = "identity"
    per_token = True
    changes = False

    pool: Literal["mean", "class"] = argument(
        "mean", doc="how tokens become one vector for a global target", origin="paper"
    )

    def pooling(self) -> Pooling:
        return self.pool

    def output_width(self, given: int, wanted: int) -> int:
        return given

    def check(self, call: PredictorCall) -> None:
        if call.input_width != call.output_width:
            raise WordError(
                f"`identity` yields {call.input_width} channels, and the target has {call.output_width}",
                help="use `linear`",
            )

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors import heads

        return heads.IdentityHead()
