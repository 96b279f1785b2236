"""`codebook`: each token becomes the nearest of a list of vectors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Predictor, PredictorCall, PredictorShape, WordError
from m3i_dsl.vocabulary.values import Count, Number
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Codebook(Predictor):
    """The end of a projector that makes an encoder a tokenizer: z becomes the nearest of K vectors e on the sphere.

    With z^ = l2(z) the code is argmin_k |z^ - e_k|^2, and zh = z^ + sg(e - z^), so that z^ gets the gradient of e.
    `commitment` times the mean of (sg(e) - z^)^2 is added to the loss of the objective. The e_k take no gradient: once
    a step e_k <- l2(decay e_k + (1 - decay) c_k), where c_k is the mean direction of the z^ of the global batch that
    chose it; one that nobody chose stays. They start as `start` says: `kmeans`, ten rounds by cosine over the first
    batch, or random directions (BEiT v2: Peng et al. 2022; unilm: beit2/norm_ema_quantizer.py). Of an image the tokens
    of the grid are coded, not its class token.
    """

    name = "codebook"
    effects = frozenset({Effect.BATCH_COUPLED, Effect.STATEFUL})

    size: Count = argument(8192, doc="vectors K", origin="BEiT v2", minimum=2, tiny=16)
    decay: Number = argument(
        0.99, doc="how much of each vector stays at each step", origin="BEiT v2", minimum=0, below=1
    )
    commitment: Number = argument(1, doc="weight of what pulls z to its vector", origin="BEiT v2", minimum=0)
    start: Literal["kmeans", "random"] = argument(
        "kmeans", doc="where the vectors start: means of the first batch, or anywhere", origin="BEiT v2"
    )

    def details(self) -> tuple[str, ...]:
        return (f"{self.size} codes",)

    def codes(self) -> int:
        return self.size

    def output_width(self, given: int, wanted: int) -> int:
        return given

    def check(self, call: PredictorCall) -> None:
        if call.input_width != call.output_width:
            raise WordError(f"`codebook` yields {call.input_width} channels, and {call.output_width} are wanted")

    def build(self, shape: PredictorShape) -> "nn.Module":
        from m3i_dsl.modules.predictors.codebook import CodebookHead

        return CodebookHead(
            shape.input_width,
            self.size,
            decay=self.decay,
            commitment=self.commitment,
            kmeans=self.start == "kmeans",
        )
