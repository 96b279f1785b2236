"""`blocks`: a linear layer and transformer blocks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Pooling, Predictor, PredictorCall, PredictorShape, WordError
from m3i_dsl.vocabulary.limits import MOST_LAYERS, TINY_WIDTH
from m3i_dsl.vocabulary.values import Count, counted
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Blocks(Predictor):
    """Tokens through a linear layer, self-attention blocks and perhaps a norm: a projector that keeps the grid.

    SiameseIM has `blocks(layers: 2, heads: 16, norm: batch, final_norm: false)`.
    """

    name = "blocks"

    layers: Count = argument(2, doc="blocks", minimum=1, maximum=MOST_LAYERS, tiny=2)
    heads: Count = argument(12, doc="attention heads", origin="SiameseIM", minimum=1, tiny=2)
    norm: Literal["layer", "batch"] = argument("layer", doc="of the blocks; SiameseIM uses batch")
    final_norm: bool = argument(True, doc="whether the last block is followed by a norm; SiameseIM has none")
    width: Count | None = argument(
        None, doc="channels it yields; the target's when left out", minimum=1, tiny=TINY_WIDTH
    )
    pool: Literal["mean", "class"] = argument(
        "mean", doc="how tokens become one vector for a global target", origin="paper"
    )

    def details(self) -> tuple[str, ...]:
        return (counted(self.layers, "layer"),)

    def effects_of(self) -> frozenset[Effect]:
        return frozenset({Effect.BATCH_COUPLED, Effect.STATEFUL}) if self.norm == "batch" else frozenset()

    def pooling(self) -> Pooling:
        return self.pool

    def output_width(self, given: int, wanted: int) -> int:
        return self.width or wanted or given

    def as_wide_as_target(self) -> bool:
        return self.width is None

    def check(self, call: PredictorCall) -> None:
        if call.output_width % self.heads:
            raise WordError(f"{self.heads} heads do not divide {call.output_width} channels", argument="heads")

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors import heads

        return heads.BlocksHead(
            shape.input_width,
            shape.output_width,
            layers=self.layers,
            heads=self.heads,
            norm_kind=self.norm,
            final_norm=self.final_norm,
        )
