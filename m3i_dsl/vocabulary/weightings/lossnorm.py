"""`lossnorm`: every target's loss counts as one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Family, Weighting
from m3i_dsl.vocabulary.word import Effect

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class LossNorm(Weighting):
    """w_k = 1 / moving average of L_k (momentum 0.9; our choice)."""

    name = "lossnorm"
    effects = frozenset({Effect.STATEFUL, Effect.BATCH_COUPLED})

    def build(self, families: tuple[Family, ...], weights: tuple[float, ...]) -> "nn.Module":
        from m3i_dsl.modules.weightings import LossNormWeighting

        return LossNormWeighting(weights)
