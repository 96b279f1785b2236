"""`flip`: left and right exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import GeometricTransform, Mirror, ViewState
from m3i_dsl.vocabulary.values import Fraction
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from m3i_dsl.vocabulary.draws import Draws


@dataclass(frozen=True, slots=True)
class Flip(GeometricTransform):
    """Mirrors the image left to right with probability `p`.

    Wherever it stands in a view, it is done first, so that a crop box lies in the mirrored image (the order of
    SiameseIM, which the geometry of relative positions relies on). The distribution of views is the same.
    """

    name = "flip"
    effects = frozenset({Effect.RANDOM})

    p: Fraction = argument(0.5, doc="how often", origin="SiameseIM", minimum=0, maximum=1)

    def move(self, state: ViewState, draws: Draws) -> Mirror:
        return Mirror(draws.at("p").uniform() < self.p)
