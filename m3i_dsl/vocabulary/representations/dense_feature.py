"""`dense feature`: one vector for each token."""

from dataclasses import dataclass
from typing import Literal

from m3i_dsl.vocabulary.kinds import (
    Encoder,
    Modality,
    Normalization,
    Predictor,
    Representation,
    TargetParts,
    V,
    text_encoder,
)
from m3i_dsl.vocabulary.modalities import Image, Text
from m3i_dsl.vocabulary.predictors.decoder import decoder_for
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class DenseFeature(Representation):
    """The grid of features of an image encoder, B x L x D, or the features of the tokens of a text, B x T x W.

    As an input representation it is the encoder's output. As a target it is normalised: `layer` is LN0, layer norm over
    channels without affine (SiameseIM, Feature Distillation); `l2` puts prediction and target on the unit sphere.
    With `layers: K` > 1 the target is the mean of the last K block outputs, each layer-normalised (data2vec).
    """

    name = "dense feature"
    has_grid = True
    reads = Image
    encoder = "any"
    table = "dense feature"

    layers: Count = argument(1, doc="how many of the last blocks are averaged", origin="paper", minimum=1, tiny=2)
    normalize: Literal["layer", "l2", "none"] = argument(
        "layer", doc="normalisation of a target; an input representation has none", origin="SiameseIM"
    )
    projected: bool = argument(True, doc="whether the encoder's projector, if it has one, comes after the features")
    prefix: bool = argument(
        False, doc="whether class and register tokens are tokens of a target (Feature Distillation, MILAN)"
    )
    match: Literal["position", "feature"] = argument(
        "position",
        doc="which target token belongs to a prediction: the one at its position, or the most similar by the encoders' "
        "features (DenseCL)",
        origin="SiameseIM",
    )

    def reads_of(self, encoder: Encoder | None) -> type[Modality]:
        return Text if encoder is not None and encoder.as_image() is None else Image

    def as_input(self) -> Representation:
        return DenseFeature(normalize="none")

    def normalization(self) -> Normalization:
        return self.normalize

    def projects(self) -> bool:
        return self.projected

    def blocks(self) -> int:
        return self.layers

    def keeps_prefix(self) -> bool:
        return self.prefix

    def details(self) -> tuple[str, ...]:
        own = super(DenseFeature, self).details()
        return (*own, "class token too") if self.prefix else own

    def matches(self) -> bool:
        return self.match == "feature"

    def default_predictor(self, same_view: bool) -> Predictor:
        return decoder_for(same_view)

    def width(self, encoder: Encoder | None, stride: int) -> int:
        image = None if encoder is None else encoder.as_image()
        if image is None:
            return text_encoder(encoder).width
        return image.projected_width() if self.projected else image.shape().width

    def target(self, parts: TargetParts[V]) -> V:
        tokens = self._tokens(parts)
        return parts.aligned(parts.match(tokens, parts.encode(self.layers)) if self.matches() else tokens)

    def compared(self, parts: TargetParts[V], prediction: V, target: V) -> V:
        return parts.compare(prediction, target, self._tokens(parts))

    def _tokens(self, parts: TargetParts[V]) -> V:
        """All tokens of the view, before they are matched."""
        features = parts.encode(self.layers)
        tokens = parts.project(features) if self.projected else features
        return tokens if self.prefix else parts.patches(tokens)
