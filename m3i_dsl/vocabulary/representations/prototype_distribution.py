"""`prototype distribution`: how much of each prototype an image is."""

from dataclasses import dataclass
from typing import Literal

from m3i_dsl.vocabulary.kinds import (
    PROTOTYPES,
    Encoder,
    Pooling,
    Predictor,
    Representation,
    TargetParts,
    V,
    image_encoder,
)
from m3i_dsl.vocabulary.modalities import Image
from m3i_dsl.vocabulary.predictors.identity import Identity
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class PrototypeDistribution(Representation):
    """Shares q of K prototypes, B x K: soft categories that nobody named (DINO, SwAV, MSN); or of each token.

    The encoder's projector is `prototypes(...)`; the regularization makes its scores into q, which sums to 1
    (`centering + sharpening` or `sinkhorn`), and `boltzmann` compares: H(q, softmax(zh / temperature)). With `pool:
    none` they are B x L x K, a dense target (iBOT).
    """

    name = "prototype distribution"
    reads = Image
    encoder = "image"
    table = "prototype distribution"
    candidates = PROTOTYPES
    chosen = True
    assigned = True

    pool: Literal["mean", "class", "none"] = argument(
        "class", doc="mean over tokens (GAP), the class token, or none: each token has shares of its own", origin="DINO"
    )

    @property
    def has_grid(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]  # here an argument decides
        return self.pool == "none"

    def pooling(self) -> Pooling | None:
        return None if self.pool == "none" else self.pool

    def projects(self) -> bool:
        return True

    def default_predictor(self, same_view: bool) -> Predictor:
        return Identity() if self.pool == "none" else Identity(pool=self.pool)

    def width(self, encoder: Encoder | None, stride: int) -> int:
        return image_encoder(encoder).projected_width()

    def target(self, parts: TargetParts[V]) -> V:
        return parts.shares(self._scores)

    def compared(self, parts: TargetParts[V], prediction: V, target: V) -> V:
        return parts.cross_entropy(prediction, target)

    def _scores(self, parts: TargetParts[V]) -> V:
        """[B, K] or [B, L, K]: the projected feature of a view, or of each of its tokens, against each prototype."""
        if self.pool == "none":
            return parts.aligned(parts.patches(parts.project(parts.encode())))
        return parts.aligned(parts.project(parts.pool(parts.encode(), self.pool)))
