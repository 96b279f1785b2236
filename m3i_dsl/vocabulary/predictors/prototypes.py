"""`prototypes`: scores of learned prototypes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Pooling, Predictor, PredictorShape
from m3i_dsl.vocabulary.limits import MOST_LAYERS, TINY_WIDTH
from m3i_dsl.vocabulary.predictors.mlp import Mlp
from m3i_dsl.vocabulary.values import Count, Duration, counted
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Prototypes(Predictor):
    """Cosines between a projected feature and trained prototypes, the scores of a `prototype distribution`.

    s_k = l2(mlp(z)) . l2(w_k), k < count: DINO's head, whose last layer has weight norm with its norms held at 1. DINO
    has `prototypes(65536, layers: 3, hidden: 2048, width: 256)`, MSN `prototypes(1024, layers: 3, hidden: 2048, width:
    256, norm: batch, average: false)`. As a projector it is averaged with its encoder, prototypes included; with
    `average: false` the average compares with the trained prototypes, which do not decay and are not clipped (MSN,
    src/msn_train.py). `frozen: 1 epochs` holds the prototypes still for so long (DINO, iBOT). Prototypes start as torch
    makes the rows of a linear layer.
    """

    name = "prototypes"
    per_token = True
    scores_prototypes = True

    count: Count = argument(doc="prototypes K", minimum=2)
    layers: Count = argument(
        3, doc="linear layers before the cosine", origin="DINO", minimum=1, maximum=MOST_LAYERS, tiny=2
    )
    hidden: Count | None = argument(
        None, doc="channels in between; four times the input's when left out", minimum=1, tiny=2 * TINY_WIDTH
    )
    width: Count = argument(256, doc="channels of a prototype", origin="DINO", minimum=1, tiny=TINY_WIDTH)
    activation: Literal["relu", "gelu"] = argument("gelu", doc="after each layer but the last", origin="DINO")
    norm: Literal["none", "batch", "layer"] = argument("none", doc="before each activation", origin="DINO")
    pool: Literal["mean", "class"] = argument(
        "mean", doc="how tokens become one vector for a global target", origin="paper"
    )

    init: Literal["xavier", "truncated", "lecun", "torch"] = argument(
        "truncated",
        doc="initial weights of the layers before the cosine: xavier-uniform (MAE), truncated N(0, 0.02) (timm, DINO), "
        "truncated N(0, 1 / inputs) (BYOL), or as torch makes a linear layer (MoCo v3)",
        origin="DINO",
    )
    average: bool = argument(
        True,
        doc="whether an average of the encoder averages the prototypes, or compares with the trained ones",
        origin="DINO",
    )
    frozen: Duration | None = argument(None, doc="how long the prototypes stay as they start")

    def details(self) -> tuple[str, ...]:
        return (counted(self.layers, "layer"),)

    def effects_of(self) -> frozenset[Effect]:
        return Mlp(layers=self.layers, norm=self.norm).effects_of()

    def pooling(self) -> Pooling:
        return self.pool

    def output_width(self, given: int, wanted: int) -> int:
        return self.count

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors.prototypes import PrototypesHead

        return PrototypesHead(
            shape.input_width,
            self.count,
            layers=self.layers,
            hidden=self.hidden or 4 * shape.input_width,
            width=self.width,
            activation=self.activation,
            norm_kind=None if self.norm == "none" else self.norm,
            initial=self.init,
            average=self.average,
            frozen=self.frozen,
        )
