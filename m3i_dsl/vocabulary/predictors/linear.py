"""`linear`: one linear layer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Pooling, Predictor, PredictorShape
from m3i_dsl.vocabulary.limits import TINY_WIDTH
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Linear(Predictor):
    """zh = W z_x + b for each token, or for the pooled vector (classification, Feature Distillation, SimMIM)."""

    name = "linear"
    per_token = True

    width: Count | None = argument(
        None, doc="channels it yields; the target's when left out", minimum=1, tiny=TINY_WIDTH
    )
    bias: bool = argument(True, doc="whether there is a bias", origin="timm")
    pool: Literal["mean", "class"] = argument(
        "mean", doc="how tokens become one vector for a global target", origin="paper"
    )

    init: Literal["xavier", "truncated", "lecun", "torch"] = argument(
        "xavier",
        doc="initial weights: xavier-uniform (MAE), truncated N(0, 0.02) (timm, DINO), truncated N(0, 1 / "
        "inputs) (BYOL), or as torch makes a linear layer (MoCo v3)",
        origin="MAE",
    )

    def pooling(self) -> Pooling:
        return self.pool

    def output_width(self, given: int, wanted: int) -> int:
        return self.width or wanted or given

    def as_wide_as_target(self) -> bool:
        return self.width is None

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors import heads

        return heads.LinearHead(shape.input_width, shape.output_width, self.bias, self.init)
