"""`unigrad`: predictions must not align with the targets' principal directions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Regularization
from m3i_dsl.vocabulary.values import Number, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class UniGrad(Regularization):
    """Adds weight * E[zh^T Cov zh] / d, Cov the uncentred second moment of this batch's targets (SiameseIM's code).

    Used beside `stop gradient`. The instantiation table has no such term: weight 0 is the table's row.
    """

    name = "unigrad"
    effects = frozenset({Effect.BATCH_COUPLED})
    penalizes = True
    needs_detached = True
    in_table = False

    weight: Number = argument(0.02, doc="factor on the term", origin="SiameseIM", above=0)

    def details(self) -> tuple[str, ...]:
        return (f"+ {number_text(self.weight)} {self.name}",)

    def build(self) -> "nn.Module":
        from m3i_dsl.modules.penalties import UniGradPenalty

        return UniGradPenalty(self.weight)
