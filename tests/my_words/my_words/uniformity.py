"""`uniformity`: predictions spread over the sphere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Regularization
from m3i_dsl.vocabulary.values import Number
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Uniformity(Regularization):
    """Adds weight * log mean over pairs of exp(-t |u_i - u_j|^2), u on the unit sphere (Wang and Isola 2020).

    Pairs are of the predictions of all samples of the global batch, each with every other.
    """

    name = "uniformity"
    effects = frozenset({Effect.BATCH_COUPLED})
    penalizes = True
    certificate = "equal predictions have the largest penalty"
    in_table = False

    weight: Number = argument(1.0, doc="factor of the term", origin="Wang and Isola 2020", above=0)
    t: Number = argument(2.0, doc="how soon distance is forgotten", origin="Wang and Isola 2020", above=0)

    def build(self) -> nn.Module:
        return uniformity(self.weight, self.t)


def uniformity(weight: float, t: float) -> nn.Module:
    """The module; in a function, so that torch is imported when a module is wanted and not before."""
    import math

    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F

    from m3i_dsl.collectives import gather

    class UniformityTerm(nn.Module):
        def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
            """`prediction` [B, E] or [B, L, E], of which the tokens of an image are averaged."""
            rows = prediction if prediction.element_size() > 4 else prediction.float()
            rows = gather(F.normalize(rows if rows.ndim == 2 else rows.mean(dim=1), dim=-1))
            with torch.autocast(rows.device.type if not rows.is_meta else "cpu", enabled=False):
                distances = 2 - 2 * rows @ rows.T
            own = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
            pairs = len(rows) * (len(rows) - 1)
            exponents = (-t * distances).masked_fill(own, -math.inf)
            return weight * (exponents.logsumexp(dim=(0, 1)) - math.log(pairs))

    return UniformityTerm()
