"""`ema`: the moving average of another encoder."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import EncoderCopy
from m3i_dsl.vocabulary.values import Ramp
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class Ema(EncoderCopy):
    """phi <- m phi + (1 - m) theta after each step, over parameters; written `ema of image(0.996 -> 1 cosine)`.

    It starts as a copy of the encoder that it averages, takes no gradient, and keeps its own batch norm state, in
    training mode (SiameseIM, MoCo).
    """

    name = "ema"

    momentum: Ramp = argument(
        Ramp(0.996, 1.0, "cosine"),
        doc="how much of the average stays at each step",
        origin="BYOL",
        minimum=0,
        maximum=1,
    )

    def follows(self) -> Ramp:
        return self.momentum
