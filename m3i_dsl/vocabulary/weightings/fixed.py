"""`fixed`: the weights that the targets are given."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Family, Weighting

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Fixed(Weighting):
    """L = sum_k weight_k L_k. With targets of unit variance every term is of the order of 1 (our choice of default)."""

    name = "fixed"
    constant = True

    def build(self, families: tuple[Family, ...], weights: tuple[float, ...]) -> "nn.Module":
        from m3i_dsl.modules.weightings import FixedWeighting

        return FixedWeighting(weights)
