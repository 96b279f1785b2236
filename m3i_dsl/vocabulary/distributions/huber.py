"""`huber`: squared error near zero, absolute beyond."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Distribution, LikelihoodShape
from m3i_dsl.vocabulary.values import Number
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Huber(Distribution):
    """L = mean of d^2 / (2 beta) where |d| < beta, |d| - beta / 2 beyond (data2vec, Feature Distillation)."""

    name = "huber"
    family = "gaussian"
    weighs_tokens = True

    beta: Number = argument(2.0, doc="where the square ends", origin="data2vec", above=0)
    tokens: Literal["all", "hidden"] = argument("all", doc="which tokens of a dense target count", origin="SiameseIM")

    def hidden_only(self) -> bool:
        return self.tokens == "hidden"

    def build(self, shape: LikelihoodShape) -> "nn.Module":
        from m3i_dsl.modules.likelihoods import HuberLoss

        return HuberLoss(self.beta)
