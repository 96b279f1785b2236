"""`decoder`: a transformer that is asked for positions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Predictor, PredictorCall, PredictorShape, WordError
from m3i_dsl.vocabulary.limits import MOST_LAYERS, TINY_WIDTH
from m3i_dsl.vocabulary.values import Count, counted
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Decoder(Predictor):
    """Encoder tokens and a mask token for each wanted position go through self-attention (MAE, SiameseIM).

    With `position: absolute` a mask token has the position of its patch; with `relative` that of its patch measured
    from the origin of the input view, in patches of the input view, and its relative size, so that it can place another
    view.
    Weights start xavier-uniform, biases at zero, mask tokens at N(0, 0.02) (MAE).
    """

    name = "decoder"
    queries = True

    layers: Count = argument(8, doc="blocks", origin="MAE", minimum=1, maximum=MOST_LAYERS, tiny=2)
    heads: Count = argument(16, doc="attention heads", origin="MAE", minimum=1, tiny=2)
    width: Count | None = argument(
        None, doc="channels of the blocks; those of its input when left out", minimum=4, tiny=TINY_WIDTH
    )
    position: Literal["absolute", "relative"] = argument("absolute", doc="where the mask tokens are", origin="MAE")
    norm: Literal["layer", "batch"] = argument("layer", doc="of the blocks; SiameseIM uses batch", origin="MAE")
    embed: bool = argument(
        True, doc="whether a linear layer leads into the blocks; SiameseIM has none behind its projector", origin="MAE"
    )
    final_norm: bool = argument(True, doc="whether a norm follows the last block; SiameseIM has none", origin="MAE")

    def details(self) -> tuple[str, ...]:
        return (counted(self.layers, "layer"),)

    def effects_of(self) -> frozenset[Effect]:
        return frozenset({Effect.BATCH_COUPLED, Effect.STATEFUL}) if self.norm == "batch" else frozenset()

    def trims(self) -> bool:
        return self.norm == "layer"  # batch norm takes its statistics over all tokens

    def shares_queries(self) -> bool:
        return self.norm == "layer"

    def relative(self) -> bool:
        return self.position == "relative"

    def check(self, call: PredictorCall) -> None:
        check_decoder(self.name, call, self.width, self.heads)
        if not self.embed and self.width not in (None, call.input_width):
            raise WordError(
                f"without a linear layer before it the blocks are {call.input_width} wide, like the tokens they get",
                argument="width",
                help="leave `width` out, or `embed: false`",
            )
        if self.position == "absolute" and call.target_grid != call.input_grid:
            raise WordError(
                f"the target grid is {call.target_grid}, the input grid {call.input_grid}",
                argument="position",
                help="a target on another grid needs `position: relative`",
            )

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors.decoder import DecoderHead

        return DecoderHead(
            shape,
            layers=self.layers,
            heads=self.heads,
            width=self.width or shape.input_width,
            position=self.position,
            norm_kind=self.norm,
            embed=self.embed,
            final_norm=self.final_norm,
        )


def decoder_for(same_view: bool) -> Decoder:
    """The decoder of a dense target of the input's own view, or of another."""
    return Decoder(position="absolute" if same_view else "relative")


def check_decoder(name: str, call: PredictorCall, width: int | None, heads: int) -> None:
    """What all transformer decoders need; raises WordError."""
    if call.target_grid is None:
        raise WordError(f"`{name}` predicts a grid, and the target is one vector", help="use `mlp` or `attention pool`")
    channels = width or call.input_width
    if channels % heads:
        raise WordError(f"{heads} heads do not divide {channels} channels", argument="heads")
    if channels % 4:
        raise WordError(f"positions need a width that is a multiple of 4, not {channels}", argument="width")
