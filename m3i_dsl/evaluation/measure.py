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
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from m3i_dsl.evaluation import errors
from m3i_dsl.evaluation.comparison import Comparison
from m3i_dsl.evaluation.kept import Features
from m3i_dsl.evaluation.subject import PixelSubject
from m3i_dsl.vocabulary.kinds import ALONE, TRAINED, Evaluator, Pooling, Result, Split, Splits, Subject, Team, TextPath

NAMED = 3
"""Samples that are left out, by name."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`count` of the `tried` samples of a split cannot be read: no result is of them. `first` are some, by name."""

    split: str
    count: int
    tried: int
    first: tuple[str, ...]

    @classmethod
    def of(cls, name: str, split: Split) -> LeftOut | None:
        """None where all samples can be read, as far as it was gone through."""
        broken = split.broken
        return cls(name, len(broken), len(broken) + len(split.labels), broken[:NAMED]) if broken else None

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
    """Measures encoders on one pair of splits.

    `untrained` builds the subject as it was before the first step (same seed); it is called when a baseline is first
    needed.
    """

    splits: Splits
    untrained: Callable[[], Subject]
    _baselines: dict[Evaluator, Mapping[str, Result]] = field(default_factory=dict[Evaluator, Mapping[str, Result]])

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What was found to be unreadable so far."""
        splits = (("training", self.splits.train), ("test", self.splits.test))
        found = (LeftOut.of(name, split) for name, split in splits)
        return tuple(left_out for left_out in found if left_out is not None)

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

        It may be infinite or not a number: that ends no training. All processes of the team call it.
        """
        team = self.splits.team
        if evaluator.on_all_processes or team.lockstep or team.size == 1:
            return evaluator.measure(trained, self.splits)
        splits = {"training": self.splits.train, "test": self.splits.test}

        def serve(request: tuple[str, Pooling]) -> None:
            trained.features(splits[request[0]], request[1])

        served = _Served(trained, team, {split: name for name, split in splits.items()})
        return team.led(lambda: evaluator.measure(served, replace(self.splits, team=ALONE)), serve)


@dataclass(frozen=True, eq=False)
class _Served:
    """`subject` for an evaluator that runs in the first process alone: all processes compute the features that it asks
    for.
    """

    subject: Subject
    team: Team
    names: Mapping[Split, str]

    @property
    def encoder(self) -> nn.Module | None:
        return self.subject.encoder

    @property
    def prefix(self) -> int:
        return self.subject.prefix

    @property
    def text_path(self) -> TextPath | None:
        return self.subject.text_path

    @property
    def details(self) -> Mapping[str, Any]:
        return self.subject.details

    def features(self, split: Split, pool: Pooling) -> Tensor:
        if split not in self.names:
            raise ValueError("features are of `splits.train` and `splits.test`")
        self.team.ask((self.names[split], pool))
        return self.subject.features(split, pool)

    def own_features(self, split: Split, pool: Pooling) -> Features:
        return Features.of(self.features(split, pool))


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
        splits = self.evaluation.splits
        return PixelSubject(splits.test.image_size, team=splits.team)


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
