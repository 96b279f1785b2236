"""`sharpening`: the target decides for few prototypes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds import ConstantShares, Regularization
from m3i_dsl.vocabulary.values import Duration, Ramp
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Sharpening(Regularization):
    """q = softmax(h / temperature), sharper than the prediction's softmax, whose temperature is higher (DINO).

    A ramp `0.04 -> 0.07 linear` moves over the `warmup` and then stays (over all of training when that is left out).
    Alone it has a constant solution, one prototype for every image: it goes with `centering`, `sinkhorn` or `mean
    entropy`. MSN sharpens shares of temperature 0.1 by p^(1/T), T = 0.25, which is a temperature of 0.025.
    """

    name = "sharpening"
    assigns = True
    makes_shares = True
    prevents: ClassVar[frozenset[ConstantShares]] = frozenset({"equal"})

    temperature: Ramp = argument(Ramp.constant(0.04), doc="of the target's softmax", origin="DINO", above=0)
    warmup: Duration | None = argument(None, doc="how long a ramp of the temperature takes")

    def highest_temperature(self) -> float:
        return max(self.temperature.start, self.temperature.stop)

    def build_assignment(self, width: int) -> "nn.Module":
        from m3i_dsl.modules.assignments import SharpeningAssignment

        return SharpeningAssignment(self.temperature, self.warmup)
