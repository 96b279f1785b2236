"""`dense pixels`: the pixels of each patch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Encoder, Predictor, Reconstruction, Representation, TargetParts, V
from m3i_dsl.vocabulary.modalities import Image
from m3i_dsl.vocabulary.predictors.decoder import decoder_for
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class DensePixels(Representation):
    """The pixels of each patch of the target view, B x L x 3 stride^2, in the order (row, column, channel).

    With `normalize`, each patch is (t - mean) / sqrt(var + 1e-6) over its pixels, var unbiased (MAE).
    """

    name = "dense pixels"
    has_grid = True
    reads = Image
    encoder = None
    table = "dense pixels"

    normalize: bool = argument(
        False, doc="whether each patch is normalised by its own mean and variance", origin="paper"
    )

    def details(self) -> tuple[str, ...]:
        return ("normalized patches",) if self.normalize else ()

    def default_predictor(self, same_view: bool) -> Predictor:
        return decoder_for(same_view)

    def reconstruction(self) -> Reconstruction:
        if not self.normalize:
            return Reconstruction(lambda prediction, truth: prediction)
        note = "Predictions are normalised by patch; they are shown with the true patch's mean and deviation."
        return Reconstruction(_with_scale_of, note)

    def width(self, encoder: Encoder | None, stride: int) -> int:
        return 3 * stride * stride

    def target(self, parts: TargetParts[V]) -> V:
        return parts.aligned(parts.patchify(parts.image(), normalize=self.normalize))


def _with_scale_of(prediction: "Tensor", truth: "Tensor") -> "Tensor":
    """Normalised patches [B, L, P] with the mean and deviation of the true ones, as there are no others."""
    deviation = (truth.var(dim=-1, keepdim=True, unbiased=True) + 1e-6).sqrt()
    return prediction * deviation + truth.mean(dim=-1, keepdim=True)
