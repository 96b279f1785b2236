"""`negative samples`: other images are the candidates."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import CANDIDATE_TOKENS, SAMPLES, Regularization
from m3i_dsl.vocabulary.limits import TINY_BATCH
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class NegativeSamples(Regularization):
    """The targets of the other images of the global batch are candidates, or those of a queue of earlier ones (MoCo).

    For a dense target the candidates of a token are its own target and, of every image of the batch, `tokens` evenly
    strided tokens (all B * L would be a (B L) x (B L) matrix); a queue holds the mean of each image's tokens (DenseCL).
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

    def details(self) -> tuple[str, ...]:
        return (f"negatives: queue {self.queue}" if self.queue else "negatives: batch",)

    def queue_length(self) -> int:
        return self.queue or 0

    def candidate_tokens(self) -> int:
        return self.tokens
