"""`prototype distribution`: how much of each prototype an image is."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from m3i_dsl.vocabulary.kinds import Encoder, ImageEncoder, Representation
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class PrototypeDistribution(Representation):
    """Shares q of K prototypes, B x K: soft categories that nobody named (DINO, SwAV, MSN).

    The encoder's projector is `prototypes(...)`; the regularization makes its scores into q, which sums to 1
    (`centering + sharpening` or `sinkhorn`), and `boltzmann` compares: H(q, softmax(zh / temperature)).
    """

    name = "prototype distribution"
    form = "prototypes"
    reads = "image"
    encoder = "image"
    table = "prototype distribution"
    projected: ClassVar[bool] = True

    pool: Literal["mean", "class"] = argument("class", doc="mean over tokens (GAP) or the class token", origin="DINO")

    def width(self, encoder: Encoder | None, stride: int) -> int:
        assert isinstance(encoder, ImageEncoder)
        return encoder.projected_width()
