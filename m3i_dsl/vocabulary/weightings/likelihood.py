"""`likelihood`: each target's variance is learned."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Family, Weighting
from m3i_dsl.vocabulary.word import Effect

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Likelihood(Weighting):
    """The scale of each P^_k is learned: Gaussian (1/2) e^-s mse + s/2, Boltzmann e^-s ce + s/2, s in [-4, 4].

    s_k = log sigma_k^2 starts at 0 (Kendall, Gal, Cipolla 2018; the paper's own rule is not published: our choice). The
    weights given to the targets multiply their terms.
    """

    name = "likelihood"
    effects = frozenset({Effect.COLLECTIVE})  # which way a step leads at a bound is asked of all processes

    def build(self, families: tuple[Family, ...], weights: tuple[float, ...]) -> "nn.Module":
        from m3i_dsl.modules.weightings import LikelihoodWeighting

        return LikelihoodWeighting(families, weights)
