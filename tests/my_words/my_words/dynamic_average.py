"""`dynamic average`: targets whose losses fall slowly count more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Family, Weighting
from m3i_dsl.vocabulary.values import Number
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class DynamicAverage(Weighting):
    """w_k = K softmax_k(r_k / temperature), r_k = |L_k| one step ago over two steps ago (Liu et al. 2019).

    Theirs are means over an epoch; here of one step.
    """

    name = "dynamic average"
    effects = frozenset({Effect.STATEFUL, Effect.BATCH_COUPLED})

    temperature: Number = argument(2.0, doc="the larger the more equal", origin="Liu et al. 2019", above=0)

    def build(self, families: tuple[Family, ...], weights: tuple[float, ...]) -> nn.Module:
        return dynamic_average(self.temperature, weights)


def dynamic_average(temperature: float, given: tuple[float, ...]) -> nn.Module:
    """The module; in a function, so that torch is imported when a module is wanted and not before."""
    from collections.abc import Sequence

    import torch
    from torch import Tensor, nn

    from m3i_dsl.collectives import mean

    class DynamicAverageOfLosses(nn.Module):
        before: Tensor
        """[2, K]: the losses of the last two steps, the last one first."""
        steps: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("before", torch.ones(2, len(given)))
            self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

        def forward(self, losses: Sequence[Tensor], shared: Tensor | None) -> tuple[Tensor, Tensor]:
            stacked = torch.stack(list(losses))
            ratios = torch.where(self.steps > 1, self.before[0] / self.before[1].clamp(min=1e-12), 1.0)
            own = torch.tensor(given, dtype=stacked.dtype, device=stacked.device)
            weights = (own * len(given) * (ratios / temperature).softmax(dim=0)).to(stacked.dtype)
            if self.training:
                with torch.no_grad():
                    newest = mean(stacked.detach()).abs().to(self.before.dtype)
                    self.before.copy_(torch.stack([newest, self.before[0]]))
                    self.steps.add_(1)
            return (weights * stacked).sum(), weights

    return DynamicAverageOfLosses()
