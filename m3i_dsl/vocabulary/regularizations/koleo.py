"""`koleo`: features of different images keep away from each other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Pooling, Regularization
from m3i_dsl.vocabulary.values import Number, number_text
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class KoLeo(Regularization):
    """Adds weight * mean of -log of each image's distance to its nearest neighbour, on the unit sphere (DINOv2).

    The features are z_x, pooled, before any projector: of each input that shows a view in `data`, one after the other,
    or of all inputs where none does. The neighbour is the nearest other image of the global batch. It is the
    Kozachenko-Leonenko estimate of their entropy (Sablayrolles et al. 2019; facebookresearch/dinov2,
    loss/koleo_loss.py). It is no reason why z_y could not be constant: a projector behind the features may be.
    """

    name = "koleo"
    effects = frozenset({Effect.BATCH_COUPLED})
    spreads = True
    in_table = False

    weight: Number = argument(0.1, doc="factor on the term", origin="DINOv2", above=0)
    pool: Pooling = argument("class", doc="mean over tokens (GAP) or the class token", origin="DINOv2")

    def details(self) -> tuple[str, ...]:
        return (f"+ {number_text(self.weight)} {self.name}",)

    def pooling(self) -> Pooling:
        return self.pool

    def build(self) -> "nn.Module":
        from m3i_dsl.modules.penalties import KoLeoPenalty

        return KoLeoPenalty(self.weight)
