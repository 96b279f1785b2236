"""`variance`: no channel of a batch is constant."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Regularization
from m3i_dsl.vocabulary.values import Number, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Variance(Regularization):
    """Adds weight * mean over channels of max(0, 1 - sqrt(Var + 1e-4)) / 2, of zh and of z_y (VICReg).

    The variance is the unbiased one of the global batch. VICReg adds 25 times it and `covariance` once to 25 times the
    squared error: `variance + covariance(0.04)` in a target of `weight 25` (facebookresearch/vicreg, main_vicreg.py).
    """

    name = "variance"
    effects = frozenset({Effect.BATCH_COUPLED})
    penalizes = True
    certificate = "a term keeps the deviation of each channel from falling below 1"

    weight: Number = argument(1.0, doc="factor on the term", origin="VICReg", above=0)

    def details(self) -> tuple[str, ...]:
        return (f"+ {number_text(self.weight)} {self.name}",)

    def build(self) -> "nn.Module":
        from m3i_dsl.modules.moments import VariancePenalty

        return VariancePenalty(self.weight)
