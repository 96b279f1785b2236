"""`bernoulli`: each category by itself."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import CATEGORIES, Distribution, LikelihoodShape, Representation, WordError
from m3i_dsl.vocabulary.values import Fraction, number_text
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Bernoulli(Distribution):
    """An independent yes or no for each category: binary cross-entropy, mean over categories (DeiT-III).

    The table files it under Boltzmann. Only for category targets.
    """

    name = "bernoulli"
    family = "boltzmann"
    contrasts = True
    expects_mixed_labels = True

    label_smoothing: Fraction = argument(0.0, doc="share of the label spread over all categories", minimum=0, below=1)

    labels: Literal["soft", "binary"] = argument(
        "soft", doc="of an image that shows two: both labels by their shares, or both as a whole (DeiT-III)"
    )

    def details(self) -> tuple[str, ...]:
        smoothing = (f"smoothing {number_text(self.label_smoothing, '%')}",) if self.label_smoothing else ()
        return (*smoothing, *(("binary labels",) if self.labels == "binary" else ()))

    def check(self, representation: Representation) -> None:
        if representation.candidates != CATEGORIES:
            raise WordError(
                "`bernoulli` is a yes or no for each category, but the target has no categories",
                help="write `distribution boltzmann`",
            )

    def build(self, shape: LikelihoodShape) -> "nn.Module":
        from m3i_dsl.modules.likelihoods import BernoulliLoss

        return BernoulliLoss(self.label_smoothing, binary=self.labels == "binary")
