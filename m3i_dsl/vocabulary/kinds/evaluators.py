"""How a trained encoder is measured.

Takes: arguments of an `evaluate` line; a subject and the splits to measure it on. Gives: results with their own
measure, and those of the baselines that say what such a number is worth. Guarantees: no torch at import.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from m3i_dsl.vocabulary.kinds.measures import Result
from m3i_dsl.vocabulary.kinds.shapes import Pooling
from m3i_dsl.vocabulary.kinds.splits import Split, Splits
from m3i_dsl.vocabulary.word import Kind, Word

if TYPE_CHECKING:
    from torch import Tensor, nn

    from m3i_dsl.evaluation.kept import Features

TRAINED = "trained"
UNTRAINED = "untrained"
RAW_PIXELS = "raw pixels"
CHANCE = "chance"


class TextPath(Protocol):
    """The two ways into the space of a text target. Both are in evaluation mode and without gradient."""

    def embed_images(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] -> predicted text embeddings [B, E]."""
        ...

    def embed_texts(self, texts: list[str]) -> Tensor:
        """T texts -> text embeddings [T, E]."""
        ...


class Subject(Protocol):
    """What is measured: the trained encoder, or what stands beside it.

    `encoder` maps images [B, 3, H, W] to tokens [B, prefix + N, D]; raw pixels have none. `text_path` is that of a text
    target, None in a recipe without one. `details` say what its features are, where that is not plain.
    """

    @property
    def encoder(self) -> nn.Module | None: ...

    @property
    def prefix(self) -> int: ...

    @property
    def text_path(self) -> TextPath | None: ...

    @property
    def details(self) -> Mapping[str, Any]: ...

    def features(self, split: Split, pool: Pooling) -> Tensor:
        """f32 [N, D] on the host: the frozen feature of each image, computed once for all evaluators by all processes;
        in a file that looks like memory where they are many.

        Raises EvaluationError (M3I0751 not finite, M3I0752 no class token).
        """
        ...

    def own_features(self, split: Split, pool: Pooling) -> Features:
        """The same of the parts that fall to this process, for a measurement that is made on all. Raises as it."""
        ...


class Baselines(Protocol):
    """The subjects that a trained encoder can stand beside; each is built when it is first asked for."""

    def untrained(self) -> Subject:
        """The same encoder as it was before the first step."""
        ...

    def raw_pixels(self) -> Subject:
        """No encoder: features are pixels, averaged over areas where images are large."""
        ...


class Evaluator(Word):
    """A measurement of a trained encoder. It may train on the training split, and chooses nothing by the test split."""

    kind: ClassVar[Kind] = "evaluator"
    needs: ClassVar[frozenset[str]] = frozenset({"category"})
    """The modalities without which there is nothing to measure."""
    on_all_processes: ClassVar[bool] = False
    """Whether `measure` is called on every process of `splits.team` at once and does its share there. One that is not
    is called on the first, as if there were no other; the features that it asks for are computed by all.
    """

    def needs_labels(self) -> bool:
        """Whether there is nothing to measure without the category of each image."""
        return "category" in self.needs

    def pooling(self) -> Pooling | None:
        """How tokens become the feature of an image; None when it takes another path."""
        return None

    def check(self) -> None:
        """Raises WordError when the arguments do not fit each other."""
        return

    @abstractmethod
    def measure(self, subject: Subject, splits: Splits) -> Result:
        """`subject` on the test split, with the measure of this evaluator: the same for every subject.

        Raises EvaluationError for what cannot be measured.
        """

    def baselines(self, others: Baselines, splits: Splits) -> Mapping[str, Result]:
        """What a result is to be read beside, by name: `untrained` and `raw pixels`, if the word does not say else."""
        return {
            UNTRAINED: self.measure(others.untrained(), splits),
            RAW_PIXELS: self.measure(others.raw_pixels(), splits),
        }
