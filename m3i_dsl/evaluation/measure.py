"""All measurements of a recipe, each beside its baselines.

Takes: an evaluation split and what is to be measured. Gives: one `Comparison` for each evaluator, or a single result
while training goes on. Guarantees: features of an encoder are computed once for all evaluators that pool them alike;
baselines are measured once, however often the trained encoder is measured; random number generators of torch are left
as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from m3i_dsl.evaluation import errors
from m3i_dsl.evaluation.baselines import raw_pixels, raw_pixels_note
from m3i_dsl.evaluation.features import Pool, Precision, finite, pooled_features
from m3i_dsl.evaluation.knn import knn
from m3i_dsl.evaluation.linear import linear
from m3i_dsl.evaluation.result import RAW_PIXELS, TRAINED, UNTRAINED, Comparison, Result
from m3i_dsl.evaluation.zero_shot import EmbedImages, EmbedTexts, chance, zero_shot
from m3i_dsl.vocabulary.evaluators import Knn, Linear, ZeroShot
from m3i_dsl.vocabulary.kinds import Evaluator


@dataclass(frozen=True, eq=False)
class Split:
    """images f32 [N, 3, H, W], normalised as in training; labels i64 [N]."""

    images: Tensor
    labels: Tensor

    def limit(self, count: int | None) -> Split:
        """The first `count` samples, or all of them."""
        return self if count is None else Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True, eq=False)
class Subject:
    """A model that is measured.

    `encoder` maps images [B, 3, H, W] to tokens [B, prefix + N, D]. The two functions are those of a text target:
    images -> predicted text embeddings [B, E] and texts -> text embeddings [T, E]; None in a recipe without one.
    """

    encoder: nn.Module
    prefix: int
    embed_images: EmbedImages | None = None
    embed_texts: EmbedTexts | None = None


@dataclass(eq=False)
class Evaluation:
    """Measures encoders on one pair of splits.

    `untrained` builds the subject as it was before the first step (same seed); it is called when a baseline is first
    needed. `categories` are the names in label order. `device` is where kNN and the large linear probe run.
    """

    train: Split
    test: Split
    categories: tuple[str, ...]
    untrained: Callable[[], Subject]
    device: torch.device | str = "cpu"
    batch: int = 256
    precision: Precision = "fp32"
    _baselines: dict[Evaluator, tuple[Result, ...]] = field(default_factory=dict[Evaluator, tuple[Result, ...]])

    def __post_init__(self) -> None:
        for name, split in (("training", self.train), ("test", self.test)):
            if len(split.labels) == 0:
                raise errors.EvaluationError(
                    errors.NO_LABELLED_SPLIT,
                    f"the {name} split to evaluate on is empty",
                    help="evaluate on data with images and categories in both splits",
                )

    def compare(self, evaluators: Sequence[Evaluator], trained: Subject) -> tuple[Comparison, ...]:
        """`trained` measured by each evaluator, beside the baselines. Raises EvaluationError."""
        missing = [evaluator for evaluator in evaluators if evaluator not in self._baselines]
        if missing:
            self._measure_baselines(missing)
        measure = _Measure(self, trained, TRAINED)
        return tuple(
            Comparison(evaluator.text(), measure(evaluator), self._baselines[evaluator]) for evaluator in evaluators
        )

    def result(self, evaluator: Evaluator, trained: Subject) -> Result:
        """`trained` measured by one evaluator, without baselines: the number to show while training goes on."""
        return _Measure(self, trained, TRAINED)(evaluator)

    def _measure_baselines(self, evaluators: Sequence[Evaluator]) -> None:
        with torch.random.fork_rng():  # building a module draws its initial weights
            untrained = _Measure(self, self.untrained(), UNTRAINED)
        pixels = _Pixels(self)
        for evaluator in evaluators:
            if isinstance(evaluator, ZeroShot):
                other = chance(evaluator.name, len(self.categories), len(self.test.labels))
            else:
                other = pixels(evaluator)
            self._baselines[evaluator] = (untrained(evaluator), other)


@dataclass(eq=False)
class _Measure:
    """One subject under all evaluators, with its features kept."""

    evaluation: Evaluation
    subject: Subject
    name: str
    _features: dict[Pool, tuple[Tensor, Tensor]] = field(default_factory=dict[Pool, tuple[Tensor, Tensor]])

    def __call__(self, evaluator: Evaluator) -> Result:
        match evaluator:
            case Knn() | Linear():
                return probe(evaluator, self.evaluation, *self.features(evaluator.pool), self.name)
            case ZeroShot():
                return self.zero_shot(evaluator)
            case _:
                raise TypeError(f"no measurement for the evaluator `{evaluator.name}`")

    def features(self, pool: Pool) -> tuple[Tensor, Tensor]:
        """[N, D] of the training and of the test split."""
        if pool not in self._features:
            e = self.evaluation
            train, test = (
                pooled_features(
                    self.subject.encoder,
                    split.images,
                    prefix=self.subject.prefix,
                    pool=pool,
                    batch=e.batch,
                    precision=e.precision,
                )
                for split in (e.train, e.test)
            )
            self._features[pool] = train, test
        return self._features[pool]

    def zero_shot(self, evaluator: ZeroShot) -> Result:
        e, subject = self.evaluation, self.subject
        if subject.embed_images is None or subject.embed_texts is None:
            raise errors.EvaluationError(
                errors.NO_TEXT_TARGET,
                "`zero_shot` needs a target with text embeddings, and the recipe has none",
                help="add a target with `representation text embedding of ...`, or leave `zero_shot` out",
            )
        return zero_shot(
            subject.embed_images,
            subject.embed_texts,
            e.test.images,
            e.test.labels,
            categories=e.categories,
            templates=evaluator.templates(),
            subject=self.name,
            batch=e.batch,
        )


@dataclass(eq=False)
class _Pixels:
    """Raw pixels under the evaluators that need features."""

    evaluation: Evaluation
    _features: tuple[Tensor, Tensor] | None = None

    def __call__(self, evaluator: Evaluator) -> Result:
        e = self.evaluation
        if self._features is None:
            self._features = finite(raw_pixels(e.train.images)), finite(raw_pixels(e.test.images))
        result = probe(evaluator, e, *self._features, RAW_PIXELS)
        height, width = e.test.images.shape[-2:]
        details = {**result.details, "features": raw_pixels_note(height, width)}
        return Result(result.name, RAW_PIXELS, result.value, result.standard_error, result.n, details, result.correct)


def probe(evaluator: Evaluator, evaluation: Evaluation, train: Tensor, test: Tensor, subject: str) -> Result:
    """kNN or linear probe on features [N, D] of both splits."""
    labels, test_labels = evaluation.train.labels, evaluation.test.labels
    match evaluator:
        case Knn(k=k, temperature=temperature):
            return knn(
                train,
                labels,
                test,
                test_labels,
                k=k,
                temperature=temperature,
                subject=subject,
                device=evaluation.device,
            )
        case Linear(c=c, held_out=held_out):
            return linear(
                train,
                labels,
                test,
                test_labels,
                c=c,
                held_out=held_out,
                subject=subject,
                device=evaluation.device,
            )
        case _:
            raise TypeError(f"`{evaluator.name}` is not measured on features")
