"""`global feature`: one vector for each image."""

from dataclasses import dataclass
from typing import Literal

from m3i_dsl.vocabulary.kinds import (
    Encoder,
    Normalization,
    Pooling,
    Predictor,
    Representation,
    TargetParts,
    V,
    image_encoder,
)
from m3i_dsl.vocabulary.modalities import Image
from m3i_dsl.vocabulary.predictors.mlp import Mlp
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class GlobalFeature(Representation):
    """The pooled feature of an image encoder, B x D, through its projector if it has one.

    `normalize: l2` puts prediction and target on the unit sphere, where ||a - b||^2 = 2 - 2 cos(a, b) (BYOL, MoCo);
    `layer` layer-normalises the target.
    """

    name = "global feature"
    reads = Image
    encoder = "image"
    table = "global feature"

    pool: Literal["mean", "class"] = argument("mean", doc="mean over tokens (GAP) or the class token", origin="paper")
    normalize: Literal["layer", "l2", "none"] = argument("l2", doc="normalisation of the target", origin="MoCo v3")
    projected: bool = argument(True, doc="whether the encoder's projector, if it has one, comes after the pool")

    def pooling(self) -> Pooling:
        return self.pool

    def normalization(self) -> Normalization:
        return self.normalize

    def projects(self) -> bool:
        return self.projected

    def default_predictor(self, same_view: bool) -> Predictor:
        return Mlp()

    def width(self, encoder: Encoder | None, stride: int) -> int:
        image = image_encoder(encoder)
        return image.projected_width() if self.projected else image.shape().width

    def target(self, parts: TargetParts[V]) -> V:
        pooled = parts.pool(parts.encode(), self.pool)
        return parts.aligned(parts.project(pooled) if self.projected else pooled)
