"""`conv decoder`: convolutions on the grid."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Predictor, PredictorCall, PredictorShape, WordError
from m3i_dsl.vocabulary.limits import MOST_LAYERS, TINY_WIDTH
from m3i_dsl.vocabulary.values import Count, Number, counted
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class ConvDecoder(Predictor):
    """Grouped convolutions, layer norm without affine, GELU and residuals on the full grid (data2vec 2).

    Hidden cells start as noise N(0, noise^2). It cannot place another view.
    """

    name = "conv decoder"
    queries = True

    layers: Count = argument(6, doc="convolutions", origin="data2vec 2", minimum=1, maximum=MOST_LAYERS, tiny=2)
    width: Count | None = argument(
        None, doc="channels in between; those of its input when left out", minimum=1, tiny=TINY_WIDTH
    )
    kernel: Count = argument(3, doc="size of the kernels, odd", origin="data2vec 2", minimum=1)
    groups: Count = argument(16, doc="groups of channels", origin="data2vec 2", minimum=1, tiny=4)
    noise: Number = argument(0.01, doc="standard deviation of hidden cells", origin="data2vec 2", minimum=0, tiny=0)

    def details(self) -> tuple[str, ...]:
        return (counted(self.layers, "layer"),)

    def effects_of(self) -> frozenset[Effect]:
        return frozenset({Effect.RANDOM}) if self.noise > 0 else frozenset()

    def check(self, call: PredictorCall) -> None:
        if call.target_grid is None:
            raise WordError("`conv decoder` predicts a grid, and the target is one vector", help="use `mlp`")
        if call.target_grid != call.input_grid:
            raise WordError(f"the target grid is {call.target_grid}, the input grid {call.input_grid}")
        if self.kernel % 2 == 0:
            raise WordError("an even kernel would shift the grid", argument="kernel")
        for channels in (call.input_width, self.width or call.input_width):
            if channels % self.groups:
                raise WordError(f"{self.groups} groups do not divide {channels} channels", argument="groups")

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors.conv_decoder import ConvDecoderHead

        return ConvDecoderHead(
            shape,
            layers=self.layers,
            width=self.width or shape.input_width,
            kernel=self.kernel,
            groups=self.groups,
            noise=self.noise,
        )
