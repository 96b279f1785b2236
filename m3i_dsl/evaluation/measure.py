"""All measurements of a recipe, each beside its baselines.

Takes: evaluators and the splits to measure on. Gives: one `Comparison` for each evaluator, or a single result while
training goes on. Guarantees: an evaluator measures and chooses its baselines by itself; features of a subject are
computed once for all evaluators that pool them alike; baselines are measured once, however often the trained encoder is
measured; random number generators of torch are left as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from m3i_dsl.evaluation import errors
from m3i_dsl.evaluation.comparison import Comparison
from m3i_dsl.evaluation.subject import PixelSubject
from m3i_dsl.vocabulary.kinds import TRAINED, Evaluator, Result, Splits, Subject


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`count` of the `tried` samples of a split cannot be read: no result is of them. `first` are some, by name."""

    split: str
    count: int
    tried: int
    first: tuple[str, ...]

    def text(self) -> str:
        """`1 of 8 test samples cannot be read and is left out: cat/000.png: an empty file`."""
        verb = "is" if self.count == 1 else "are"
        named = "; ".join(self.first) + ("; and others" if self.count > len(self.first) else "")
        return f"{self.count} of {self.tried} {self.split} samples cannot be read and {verb} left out: {named}"

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {"split": self.split, "count": self.count, "of": self.tried, "first": list(self.first)}


@dataclass(eq=False)
class Evaluation:
    """Measures encoders on one pair of splits, of which some samples may be `left_out`.

    `untrained` builds the subject as it was before the first step (same seed); it is called when a baseline is first
    needed.
    """

    splits: Splits
    untrained: Callable[[], Subject]
    left_out: tuple[LeftOut, ...] = ()
    _baselines: dict[Evaluator, Mapping[str, Result]] = field(default_factory=dict[Evaluator, Mapping[str, Result]])

    def __post_init__(self) -> None:
        for name, split in (("training", self.splits.train), ("test", self.splits.test)):
            if len(split.labels) == 0:
                raise errors.EvaluationError(
                    errors.NO_LABELLED_SPLIT,
                    f"the {name} split to evaluate on is empty",
                    help="evaluate on data with images and categories in both splits",
                )

    def compare(self, evaluators: Sequence[Evaluator], trained: Subject) -> tuple[Comparison, ...]:
        """`trained` measured by each evaluator, beside the baselines. Raises EvaluationError."""
        with own_draws():
            others = _Others(self)
            for evaluator in evaluators:
                if evaluator not in self._baselines:
                    results = evaluator.baselines(others, self.splits)
                    self._baselines[evaluator] = {
                        name: _checked(evaluator, name, result) for name, result in results.items()
                    }
            return tuple(
                Comparison(
                    evaluator.name,
                    evaluator.text(),
                    _checked(evaluator, TRAINED, self.result(evaluator, trained)),
                    self._baselines[evaluator],
                )
                for evaluator in evaluators
            )

    def result(self, evaluator: Evaluator, trained: Subject) -> Result:
        """`trained` measured by one evaluator, without baselines: the number to show while training goes on.

        It may be infinite or not a number: that ends no training.
        """
        return evaluator.measure(trained, self.splits)


def own_draws() -> AbstractContextManager[None]:
    """Around what draws random numbers and is to move nobody else's: of the host, and of the GPU in use."""
    return torch.random.fork_rng(devices=[torch.cuda.current_device()] if torch.cuda.is_available() else [])


@dataclass(eq=False)
class _Others:
    """The subjects that evaluators may ask for as baselines, each built once."""

    evaluation: Evaluation

    def untrained(self) -> Subject:
        return self._untrained

    def raw_pixels(self) -> Subject:
        return self._raw_pixels

    @cached_property
    def _untrained(self) -> Subject:
        return self.evaluation.untrained()

    @cached_property
    def _raw_pixels(self) -> Subject:
        height, width = self.evaluation.splits.test.images.shape[-2:]
        return PixelSubject((height, width))


def _checked(evaluator: Evaluator, subject: str, result: Result) -> Result:
    """`result` as it is. Raises EvaluationError (M3I0757) for a number in it that is not finite."""
    numbers = {
        result.measure.name: result.value,
        "its standard error": result.standard_error or 0.0,
        **{name: score.value for name, score in result.parts.items()},
        **result.by_category,
    }
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise errors.EvaluationError(
                errors.NOT_A_NUMBER,
                f"`{evaluator.name}` gives {value} for {name} ({subject})",
                help=f"evaluate an earlier checkpoint, or leave `{evaluator.name}` out",
            )
    return result
