"""`negative samples`: other images are the candidates."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import CANDIDATE_TOKENS, SAMPLES, Regularization, WordError
from m3i_dsl.vocabulary.limits import TINY_BATCH
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class NegativeSamples(Regularization):
    """The targets of the other images of the global batch are candidates, or those of a queue of earlier ones (MoCo).

    For a dense target the candidates of a token are its own target and, of every image of the batch, `tokens` evenly
    strided tokens (all B * L would be a (B L) x (B L) matrix); a queue holds the mean of each image's tokens (DenseCL).
    With `predictions` what was predicted of the other images is a candidate as well: with `boltzmann(symmetric: true)`
    each of 2 B views chooses among the others, 2 B - 2 of which are negatives (SimCLR's NT-Xent).
    """

    name = "negative samples"
    candidates = SAMPLES
    certificate = "a constant target cannot be told from its negatives"

    queue: Count | None = argument(
        None, doc="how many earlier targets are kept as the only negatives", minimum=1, tiny=2 * TINY_BATCH
    )
    tokens: Count = argument(
        CANDIDATE_TOKENS, doc="candidate tokens of each image for a dense target", minimum=1, tiny=4
    )
    predictions: bool = argument(
        False, doc="whether the predictions of the other images are candidates, too (SimCLR)", origin="MoCo v3"
    )

    def __post_init__(self) -> None:
        if self.queue and self.predictions:
            raise WordError(
                "a queue holds the only negatives, so predictions cannot be candidates",
                argument="predictions",
                help="leave `predictions` out, or the queue",
            )

    def details(self) -> tuple[str, ...]:
        both = ", both views" if self.predictions else ""
        return (f"negatives: queue {self.queue}" if self.queue else f"negatives: batch{both}",)

    def queue_length(self) -> int:
        return self.queue or 0

    def candidate_tokens(self) -> int:
        return self.tokens

    def chooses_among_predictions(self) -> bool:
        return self.predictions
