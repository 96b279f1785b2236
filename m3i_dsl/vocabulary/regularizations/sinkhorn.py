"""`sinkhorn`: every prototype gets an equal share of the batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from m3i_dsl.vocabulary.kinds import PROTOTYPES, ConstantShares, Regularization
from m3i_dsl.vocabulary.values import Count, Duration, Ramp
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Sinkhorn(Regularization):
    """q = exp(h / temperature) scaled so that prototypes share the global batch equally, without gradient (SwAV).

    Each iteration divides by the sums over the batch, then by those over the prototypes (Sinkhorn and Knopp). With
    `tokens: hidden` the batch is that of the hidden tokens (DINOv2). `sharpening(T) + sinkhorn` balances the shares
    softmax(h / T) instead (MSN), which after few iterations is another target. It stands in the place of `centering`.
    """

    name = "sinkhorn"
    effects = frozenset({Effect.BATCH_COUPLED})
    detaches = True
    assigns = True
    candidates = PROTOTYPES
    makes_shares = True
    of_hidden = True
    prevents: ClassVar[frozenset[ConstantShares]] = frozenset({"one for all", "equal"})
    certificate = "every prototype gets an equal share of the batch"

    temperature: Ramp | None = argument(
        None, doc="of the scores (SwAV: 0.05); left out, it balances the shares that `sharpening` makes", above=0
    )
    iterations: Count = argument(3, doc="rounds of scaling", origin="SwAV", minimum=1)
    views: Literal["each", "together"] = argument(
        "each", doc="each view of the target by itself (SwAV), or all as one batch (DINOv2)", origin="SwAV"
    )
    warmup: Duration | None = argument(None, doc="how long a ramp of the temperature takes (DINOv2)")

    def takes_shares(self) -> bool:
        return self.temperature is None

    def joins_views(self) -> bool:
        return self.views == "together"

    def build_assignment(self, width: int) -> "nn.Module":
        from m3i_dsl.modules.assignments import SinkhornAssignment

        return SinkhornAssignment(self.temperature, self.iterations, self.warmup)
