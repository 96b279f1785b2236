"""`laplace`: absolute error."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Distribution, LikelihoodShape
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Laplace(Distribution):
    """Laplace(zh, b = 1): L = mean |zh - z_y| (SimMIM). The table files it under Gaussian."""

    name = "laplace"
    family = "gaussian"
    weighs_tokens = True

    tokens: Literal["all", "hidden"] = argument("all", doc="which tokens of a dense target count", origin="SiameseIM")

    def hidden_only(self) -> bool:
        return self.tokens == "hidden"

    def build(self, shape: LikelihoodShape) -> "nn.Module":
        from m3i_dsl.modules.likelihoods import LaplaceLoss

        return LaplaceLoss()
