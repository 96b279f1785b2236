"""`gradnorm`: equal gradients at the input representation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Family, Weighting
from m3i_dsl.vocabulary.word import Effect

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class GradNorm(Weighting):
    """w_k = mean gradient norm / ||dL_k/dz_x||, smoothed with momentum 0.9 and rescaled to sum to K (our choice).

    The norms are taken at the shared z_x, so their cost does not grow with the encoder (after GradNorm, Chen et al.
    2018).
    """

    name = "gradnorm"
    compares_gradients = True
    effects = frozenset({Effect.STATEFUL, Effect.BATCH_COUPLED})

    def build(self, families: tuple[Family, ...], weights: tuple[float, ...]) -> "nn.Module":
        from m3i_dsl.modules.weightings import GradNormWeighting

        return GradNormWeighting(weights)
