"""`gaussian`: squared error."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Distribution, LikelihoodShape
from m3i_dsl.vocabulary.word import PURE, Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Gaussian(Distribution):
    """N(zh, sigma^2 I): L = mean over tokens of ||zh - z_y||^2, as the mean or the sum over channels.

    The mean over channels is sigma^2 = n / 2 (SiameseIM, MAE); the sum is sigma^2 = 1/2, which on unit vectors is
    2 - 2 cos (BYOL). Beside `decorrelation` it is Barlow Twins' sum_i (1 - C_ii)^2 on batch-standardised features.
    """

    name = "gaussian"
    family = "gaussian"
    weighs_tokens = True
    takes_standardized = True
    reads_correlation = True

    reduction: Literal["mean", "sum"] = argument("mean", doc="over channels", origin="SiameseIM")
    tokens: Literal["all", "hidden"] = argument("all", doc="which tokens of a dense target count", origin="SiameseIM")

    def details(self) -> tuple[str, ...]:
        return ("sum over channels",) if self.reduction == "sum" else ()

    def hidden_only(self) -> bool:
        return self.tokens == "hidden"

    def effects_over(self, shape: LikelihoodShape) -> frozenset[Effect]:
        return frozenset({Effect.BATCH_COUPLED}) if shape.standardized else PURE

    def build(self, shape: LikelihoodShape) -> "nn.Module":
        from m3i_dsl.modules.likelihoods import GaussianLoss
        from m3i_dsl.modules.penalties import Invariance

        if shape.standardized:
            return Invariance()
        return GaussianLoss(self.reduction)
