"""`mlp`: a stack of linear layers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Pooling, Predictor, PredictorShape
from m3i_dsl.vocabulary.limits import MOST_LAYERS, TINY_WIDTH
from m3i_dsl.vocabulary.values import Count, counted
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Mlp(Predictor):
    """Linear layers with norm and activation between them, for each token or for the pooled vector.

    MoCo v3's projector is `mlp(layers: 3, hidden: 4096, activation: relu, norm: batch, output_norm: batch, bias: false,
    output_bias: false, width: 256)`, its predictor the same with 2 layers. BYOL has `mlp(hidden: 4096, activation:
    relu, norm: batch, output_bias: false, width: 256)` twice, Barlow Twins 3 layers of 8192 without biases and output
    norm. SimSiam's predictor is `mlp(hidden: 512, activation: relu, norm: batch, bias: false)`. Weights start as `init`
    says.
    """

    name = "mlp"
    per_token = True

    layers: Count = argument(2, doc="linear layers", origin="MoCo v3", minimum=1, maximum=MOST_LAYERS, tiny=2)
    hidden: Count | None = argument(
        None, doc="channels in between; four times the input's when left out", minimum=1, tiny=2 * TINY_WIDTH
    )
    activation: Literal["relu", "gelu", "tanh"] = argument("gelu", doc="after each layer but the last")
    norm: Literal["none", "batch", "layer"] = argument("none", doc="before each activation")
    output_norm: Literal["none", "batch"] = argument("none", doc="after the last layer, without affine (MoCo v3)")
    bias: bool = argument(True, doc="whether the layers but the last have biases", origin="BYOL")
    output_bias: bool = argument(True, doc="whether the last layer has a bias", origin="SimSiam")
    width: Count | None = argument(
        None, doc="channels it yields; the target's when left out", minimum=1, tiny=TINY_WIDTH
    )
    pool: Literal["mean", "class"] = argument(
        "mean", doc="how tokens become one vector for a global target", origin="paper"
    )

    init: Literal["xavier", "truncated", "lecun", "torch"] = argument(
        "xavier",
        doc="initial weights: xavier-uniform (MAE), truncated N(0, 0.02) (timm, DINO), truncated N(0, 1 / "
        "inputs) (BYOL), or as torch makes a linear layer (MoCo v3)",
        origin="MAE",
    )

    def details(self) -> tuple[str, ...]:
        return (counted(self.layers, "layer"),)

    def effects_of(self) -> frozenset[Effect]:
        batch = self.output_norm == "batch" or (self.norm == "batch" and self.layers > 1)
        return frozenset({Effect.BATCH_COUPLED, Effect.STATEFUL}) if batch else frozenset()

    def pooling(self) -> Pooling:
        return self.pool

    def output_width(self, given: int, wanted: int) -> int:
        return self.width or wanted or given

    def as_wide_as_target(self) -> bool:
        return self.width is None

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors import heads

        return heads.MLP(
            shape.input_width,
            shape.output_width,
            layers=self.layers,
            hidden=self.hidden or 4 * shape.input_width,
            activation=self.activation,
            norm_kind=None if self.norm == "none" else self.norm,
            output_norm=self.output_norm == "batch",
            bias=self.bias,
            output_bias=self.output_bias,
            initial=self.init,
        )
