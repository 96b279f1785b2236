"""`centering`: no prototype wins by being large for every image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds import PROTOTYPES, ConstantShares, Regularization
from m3i_dsl.vocabulary.values import Number
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Centering(Regularization):
    """Subtracts a running mean c of the target's scores, h - c, and stops the gradient (DINO).

    After each step c <- momentum c + (1 - momentum) mean(h), the mean over all views of the target and the whole global
    batch; c starts at 0. Alone it has a constant solution, equal shares for every image: it goes with `sharpening`.
    """

    name = "centering"
    effects = frozenset({Effect.BATCH_COUPLED, Effect.STATEFUL})
    detaches = True
    assigns = True
    candidates = PROTOTYPES
    prevents: ClassVar[frozenset[ConstantShares]] = frozenset({"one for all"})
    certificate = "centring keeps one prototype from winning for every image, sharpening keeps shares from being equal"

    momentum: Number = argument(0.9, doc="of the running mean", origin="DINO", minimum=0, below=1)

    def build_assignment(self, width: int) -> "nn.Module":
        from m3i_dsl.modules.assignments import CenteringAssignment

        return CenteringAssignment(width, self.momentum)
