"""`sinkhorn`: every prototype gets an equal share of the batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds import PROTOTYPES, ConstantShares, Regularization
from m3i_dsl.vocabulary.values import Count, Number
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Sinkhorn(Regularization):
    """q = exp(h / temperature) scaled so that prototypes share the global batch equally, without gradient (SwAV).

    Each iteration divides by the sums over the batch, then by those over the prototypes (Sinkhorn and Knopp); each view
    of the target by itself, as in SwAV. DINOv2 and MSN use it in the place of `centering + sharpening`.
    """

    name = "sinkhorn"
    effects = frozenset({Effect.BATCH_COUPLED})
    detaches = True
    assigns = True
    candidates = PROTOTYPES
    makes_shares = True
    prevents: ClassVar[frozenset[ConstantShares]] = frozenset({"one for all", "equal"})
    certificate = "every prototype gets an equal share of the batch"

    temperature: Number = argument(0.05, doc="of the scores", origin="SwAV", above=0)
    iterations: Count = argument(3, doc="rounds of scaling", origin="SwAV", minimum=1)

    def build_assignment(self, width: int) -> "nn.Module":
        from m3i_dsl.modules.assignments import SinkhornAssignment

        return SinkhornAssignment(self.temperature, self.iterations)
