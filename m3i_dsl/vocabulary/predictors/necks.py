"""`necks`: one projector for pooled vectors, another for tokens."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Predictor, PredictorCall, PredictorShape, WordError
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Necks(Predictor):
    """A projector of two: `pooled` for targets of one vector, `dense` for each token of dense ones (DenseCL).

    DenseCL has `mlp(layers: 2, hidden: 2048, width: 128, activation: relu)` twice, each with weights of its own.
    """

    name = "necks"
    per_token = True

    pooled: Predictor = argument(doc="what the pooled vector goes through")
    dense: Predictor = argument(doc="what each token goes through")

    def details(self) -> tuple[str, ...]:
        return (f"pooled: {self.pooled.name}", f"dense: {self.dense.name}")

    def effects_of(self) -> frozenset[Effect]:
        return self.pooled.effects_of() | self.dense.effects_of()

    def output_width(self, given: int, wanted: int) -> int:
        return self.dense.output_width(given, wanted)

    def as_wide_as_target(self) -> bool:
        return self.dense.as_wide_as_target()

    def check(self, call: PredictorCall) -> None:
        for part, name in ((self.pooled, "pooled"), (self.dense, "dense")):
            if not part.per_token:
                raise WordError(f"`{part.name}` does not map each vector by itself", argument=name, help="use `mlp`")
            part.check(call)
        widths = [part.output_width(call.input_width, 0) for part in (self.pooled, self.dense)]
        if widths[0] != widths[1]:
            raise WordError(
                f"its parts yield {widths[0]} and {widths[1]} channels", argument="dense", help="give both one `width`"
            )

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors.heads import NecksHead

        return NecksHead(self.pooled.build(shape), self.dense.build(shape))
