"""`prompting decoder`: only mask tokens are updated."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Predictor, PredictorCall, PredictorShape, WordError
from m3i_dsl.vocabulary.limits import MOST_LAYERS, TINY_WIDTH
from m3i_dsl.vocabulary.predictors.decoder import check_decoder
from m3i_dsl.vocabulary.values import Count, counted
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class PromptingDecoder(Predictor):
    """Mask tokens attend to the encoder's tokens, which stay as the encoder made them (MILAN).

    At visible positions the prediction is a linear layer on the encoder's token, so that the encoder itself must make
    semantic features. It cannot place another view.
    """

    name = "prompting decoder"
    queries = True
    keeps_prefix = True

    layers: Count = argument(8, doc="blocks", origin="MILAN", minimum=1, maximum=MOST_LAYERS, tiny=2)
    heads: Count = argument(16, doc="attention heads", origin="MILAN", minimum=1, tiny=2)
    width: Count | None = argument(
        None, doc="channels of the blocks; those of its input when left out", minimum=4, tiny=TINY_WIDTH
    )
    norm: Literal["layer", "batch"] = argument("layer", doc="of the blocks", origin="MILAN")

    def details(self) -> tuple[str, ...]:
        return (counted(self.layers, "layer"),)

    def effects_of(self) -> frozenset[Effect]:
        return frozenset({Effect.BATCH_COUPLED, Effect.STATEFUL}) if self.norm == "batch" else frozenset()

    def check(self, call: PredictorCall) -> None:
        check_decoder(self.name, call, self.width, self.heads)
        if call.target_grid != call.input_grid:
            raise WordError(f"the target grid is {call.target_grid}, the input grid {call.input_grid}")

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors.decoder import PromptingDecoderHead

        width = self.width or shape.input_width
        return PromptingDecoderHead(shape, layers=self.layers, heads=self.heads, width=width, norm_kind=self.norm)
