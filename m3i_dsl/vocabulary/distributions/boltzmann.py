"""`boltzmann`: softmax over a candidate set."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import CATEGORIES, Distribution, LikelihoodShape, Representation, WordError
from m3i_dsl.vocabulary.values import Fraction, Scalar, number_text
from m3i_dsl.vocabulary.word import PURE, Effect, argument

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
    weighs_tokens = True
    effects = frozenset({Effect.BATCH_COUPLED})

    temperature: Scalar = argument(Scalar(1.0, False), doc="of the softmax", above=0)
    symmetric: bool = argument(False, doc="whether candidates also choose among predictions")
    label_smoothing: Fraction = argument(0.0, doc="share of the label spread over all categories", minimum=0, below=1)
    tokens: Literal["all", "hidden"] = argument("all", doc="which tokens of a dense target count", origin="SiameseIM")

    def details(self) -> tuple[str, ...]:
        scale = number_text(self.temperature.value)
        temperature = f"learned \u03c4 from {scale}" if self.temperature.learned else f"\u03c4 = {scale}"
        both = ("both directions",) if self.symmetric else ()
        smoothing = (f"smoothing {number_text(self.label_smoothing, '%')}",) if self.label_smoothing else ()
        return (temperature, *both, *smoothing)

    def asks_both_ways(self) -> bool:
        return self.symmetric

    def softmax_temperature(self) -> Scalar:
        return self.temperature

    def check(self, representation: Representation) -> None:
        candidates = representation.candidates
        if self.label_smoothing and candidates != CATEGORIES:
            raise WordError(
                "`label_smoothing` spreads the label of a category, but the target has no categories",
                argument="label_smoothing",
                help="leave it out",
            )
        if self.symmetric and not candidates.of_batch:
            raise WordError(
                f"`symmetric` asks each candidate for its sample, but a {candidates.one} has many",
                argument="symmetric",
                help="leave it out",
            )
        if self.temperature.learned and representation.assigned:
            raise WordError(
                "a learned temperature, which training could take below that of the target's shares",
                argument="temperature",
                help="write the number alone (DINO: 0.1)",
            )

    def hidden_only(self) -> bool:
        return self.tokens == "hidden"

    def effects_over(self, shape: LikelihoodShape) -> frozenset[Effect]:
        """Over a fixed set a row needs no other one; a learned temperature asks all processes where it may go."""
        if shape.comparison not in ("classify", "cross_entropy"):
            return self.effects
        return frozenset({Effect.COLLECTIVE}) if self.temperature.learned else PURE

    def build(self, shape: LikelihoodShape) -> "nn.Module":
        from m3i_dsl.modules import boltzmann
        from m3i_dsl.modules.queue import Queue

        match shape.comparison:
            case "classify":
                return boltzmann.CategoryBoltzmann(
                    self.temperature.value, learned=self.temperature.learned, label_smoothing=self.label_smoothing
                )
            case "cross_entropy":
                return boltzmann.PrototypeBoltzmann(self.temperature.value)
            case "retrieve":
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
                    predictions=shape.predictions,
                )
