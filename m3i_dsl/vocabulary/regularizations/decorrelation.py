"""`decorrelation`: channels must differ."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Regularization
from m3i_dsl.vocabulary.values import Number, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Decorrelation(Regularization):
    """Adds weight * sum_{i != j} C_ij^2, C = z1^T z2 / B over batch-standardised features (Barlow Twins).

    The Gaussian on the same features is 2 sum_i (1 - C_ii); Barlow Twins squares each term, sum_i (1 - C_ii)^2, which
    `gaussian` does beside this word.
    """

    name = "decorrelation"
    effects = frozenset({Effect.BATCH_COUPLED})
    penalizes = True
    standardizes = True
    reads_correlation = True
    certificate = "standardised, decorrelated channels cannot be constant"

    weight: Number = argument(0.0051, doc="factor on the off-diagonal terms", origin="Barlow Twins", above=0)

    def details(self) -> tuple[str, ...]:
        return (f"+ {number_text(self.weight)} {self.name}",)

    def build(self) -> "nn.Module":
        from m3i_dsl.modules.penalties import DecorrelationPenalty

        return DecorrelationPenalty(self.weight)
