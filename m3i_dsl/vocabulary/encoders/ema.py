"""`ema`: the moving average of another encoder."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import EncoderCopy
from m3i_dsl.vocabulary.values import Duration, Ramp
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class Ema(EncoderCopy):
    """phi <- m phi + (1 - m) theta after each step, over parameters; written `ema of image(0.996 -> 1 cosine)`.

    A ramp moves over all of training, or `over` its first part and then stays: data2vec has
    `ema of image(0.999 -> 0.9998 linear, over: 25k steps)`. The average starts as a copy of the encoder that it is of,
    takes no gradient, and keeps its own batch norm state, in training mode (SiameseIM, MoCo).
    """

    name = "ema"

    momentum: Ramp = argument(
        Ramp(0.996, 1.0, "cosine"),
        doc="how much of the average stays at each step",
        origin="BYOL",
        minimum=0,
        maximum=1,
    )
    over: Duration | None = argument(None, doc="how long a ramp takes; all of training when left out", origin="BYOL")

    def follows(self) -> Ramp:
        return self.momentum

    def follows_over(self) -> Duration | None:
        return self.over
