"""`mean entropy`: over the batch, every prototype is predicted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds import ConstantShares, Regularization
from m3i_dsl.vocabulary.values import Number, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class MeanEntropy(Regularization):
    """Adds weight * (log K - H(mean p)), p = softmax(zh / temperature) over all predictions of the target (MSN).

    The mean is over every input and the global batch, once: averaged input by input it would be another number. Alone
    it has a constant solution, equal shares for every image: it goes with `sharpening`. (facebookresearch/msn,
    src/losses.py.)
    """

    name = "mean entropy"
    effects = frozenset({Effect.BATCH_COUPLED})
    joint = True
    in_table = False
    prevents: ClassVar[frozenset[ConstantShares]] = frozenset({"one for all"})
    certificate = (
        "a mean prediction of high entropy keeps one prototype from winning, sharpening keeps shares from being equal"
    )

    weight: Number = argument(1.0, doc="factor on the term", origin="MSN", above=0)

    def details(self) -> tuple[str, ...]:
        return (f"+ {number_text(self.weight)} {self.name}",)

    def build_joint(self, temperature: float) -> "nn.Module":
        from m3i_dsl.modules.penalties import MeanEntropyPenalty

        return MeanEntropyPenalty(self.weight, temperature)
