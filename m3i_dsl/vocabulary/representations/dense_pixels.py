"""`dense pixels`: the pixels of each patch."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Encoder, Predictor, Representation, TargetParts, V
from m3i_dsl.vocabulary.predictors.decoder import decoder_for
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class DensePixels(Representation):
    """The pixels of each patch of the target view, B x L x 3 stride^2, in the order (row, column, channel).

    With `normalize`, each patch is (t - mean) / sqrt(var + 1e-6) over its pixels, var unbiased (MAE).
    """

    name = "dense pixels"
    has_grid = True
    reads = "image"
    encoder = None
    table = "dense pixels"

    normalize: bool = argument(
        False, doc="whether each patch is normalised by its own mean and variance", origin="paper"
    )

    def default_predictor(self, same_view: bool) -> Predictor:
        return decoder_for(same_view)

    def width(self, encoder: Encoder | None, stride: int) -> int:
        return 3 * stride * stride

    def target(self, parts: TargetParts[V]) -> V:
        return parts.aligned(parts.patchify(parts.image(), normalize=self.normalize))
