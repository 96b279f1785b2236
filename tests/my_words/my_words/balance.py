"""`balance`: prototypes that are chosen often count less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds import PROTOTYPES, ConstantShares, Regularization
from m3i_dsl.vocabulary.values import Number
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Balance(Regularization):
    """q_k = p_k / m_k over their sum, p = softmax(h / temperature), m the mean of p over the global batch.

    One step towards equal shares, which `sinkhorn` takes to the end. Each view of the target by itself.
    """

    name = "balance"
    effects = frozenset({Effect.BATCH_COUPLED})
    detaches = True
    assigns = True
    makes_shares = True
    candidates = PROTOTYPES
    prevents: ClassVar[frozenset[ConstantShares]] = frozenset({"one for all", "equal"})
    certificate = "a prototype that every image chooses is no better than the others"

    temperature: Number = argument(0.1, doc="of the scores", above=0)

    def build_assignment(self, width: int) -> nn.Module:
        return balance(self.temperature)


def balance(temperature: float) -> nn.Module:
    """The module; in a function, so that torch is imported when a module is wanted and not before."""
    from torch import Tensor, nn

    from m3i_dsl.collectives import mean

    class BalancedShares(nn.Module):
        def forward(self, *scores: Tensor) -> Tensor | tuple[Tensor, ...]:
            """[B, K] each -> [B, K] each, rows that sum to 1."""
            views = tuple(self._balanced(each) for each in scores)
            return views[0] if len(views) == 1 else views

        def _balanced(self, scores: Tensor) -> Tensor:
            wide = scores if scores.element_size() > 4 else scores.float()
            shares = (wide / temperature).softmax(dim=-1)
            shares = shares / mean(shares.mean(dim=0)).clamp(min=1e-8)
            return shares / shares.sum(dim=-1, keepdim=True)

    return BalancedShares()
