"""`boltzmann`: softmax over a candidate set."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Distribution, LikelihoodShape
from m3i_dsl.vocabulary.values import Fraction, Scalar
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Boltzmann(Distribution):
    """P^(z_y | zh) proportional to exp(zh . z_y / temperature) over the candidates that the regularization names.

    L = mean of -zh . z_y / temperature + log sum_a exp(zh . a / temperature). A learned temperature is trained as the
    log of its inverse, which is held at 100 or less (CLIP). `symmetric` also asks each text for its image (CLIP), or
    each target for its prediction, and takes the mean of both. Over prototypes the target is a distribution q, and
    L = mean of H(q, softmax(zh / temperature)) (DINO: 0.1).
    """

    name = "boltzmann"
    family = "boltzmann"
    contrasts = True
    effects = frozenset({Effect.BATCH_COUPLED})

    temperature: Scalar = argument(Scalar(1.0, False), doc="of the softmax", above=0)
    symmetric: bool = argument(False, doc="whether candidates also choose among predictions")
    label_smoothing: Fraction = argument(0.0, doc="share of the label spread over all categories", minimum=0, below=1)
    tokens: Literal["all", "hidden"] = argument("all", doc="which tokens of a dense target count", origin="SiameseIM")

    def build(self, shape: LikelihoodShape) -> "nn.Module":
        from m3i_dsl.modules import boltzmann
        from m3i_dsl.modules.queue import Queue

        match shape.candidates:
            case "categories":
                return boltzmann.CategoryBoltzmann(
                    self.temperature.value, learned=self.temperature.learned, label_smoothing=self.label_smoothing
                )
            case "prototypes":
                return boltzmann.PrototypeBoltzmann(self.temperature.value)
            case "texts":
                return boltzmann.TextBoltzmann(
                    self.temperature.value, learned=self.temperature.learned, symmetric=self.symmetric
                )
            case _:
                return boltzmann.SampleBoltzmann(
                    self.temperature.value,
                    learned=self.temperature.learned,
                    symmetric=self.symmetric,
                    tokens_per_image=shape.tokens,
                    queue=Queue(shape.queue, shape.width) if shape.queue else None,
                )
