"""`covariance`: channels tell different things."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Regularization
from m3i_dsl.vocabulary.values import Number, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Covariance(Regularization):
    """Adds weight * sum_{i != j} Cov_ij^2 / E, of zh and of z_y, over the global batch (VICReg).

    Channels that do not vary have none, so it goes with `variance` (facebookresearch/vicreg, main_vicreg.py).
    """

    name = "covariance"
    effects = frozenset({Effect.BATCH_COUPLED})
    penalizes = True

    weight: Number = argument(0.04, doc="factor on the term", origin="VICReg", above=0)

    def details(self) -> tuple[str, ...]:
        return (f"+ {number_text(self.weight)} {self.name}",)

    def build(self) -> "nn.Module":
        from m3i_dsl.modules.moments import CovariancePenalty

        return CovariancePenalty(self.weight)
