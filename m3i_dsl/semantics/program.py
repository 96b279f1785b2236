"""The typed program: a recipe in which every name is resolved and every value is bound to a word.

Takes: nothing (semantics/elaborate.py builds it). Gives: one frozen class for each thing a recipe declares.
Guarantees: no field is filled in later; every bound word keeps its span, the span of each argument, and which
arguments were written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from m3i_dsl.diagnostics import Label
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.vocabulary.kinds import (
    Distribution,
    Encoder,
    Evaluator,
    Modality,
    Optimizer,
    Predictor,
    Regularization,
    Representation,
    Schedule,
    Source,
    Transform,
    Weighting,
)
from m3i_dsl.vocabulary.kinds import Mask as MaskWord
from m3i_dsl.vocabulary.mixes.mix import PatchMix
from m3i_dsl.vocabulary.regularizations.negative_samples import NegativeSamples
from m3i_dsl.vocabulary.values import Duration, Ramp
from m3i_dsl.vocabulary.word import Word

W_co = TypeVar("W_co", bound=Word, covariant=True)

Which = Literal["first", "second"]
"""Which image of a mix."""


@dataclass(frozen=True, slots=True)
class Definition:
    """Where the `param` that an argument names has its value; `given` when that is on the command line."""

    name: str
    span: Span
    given: bool


def place_of(used: Span, definition: Definition | None, text: str = "") -> tuple[Label, tuple[Label, ...]]:
    """Where to show a fault of the value at `used`, labelled `text`, and what else to show.

    A value that the command line gives is shown there, and where it is used as second place; for any other value of a
    `param` it is the other way round.
    """
    if definition is None:
        return Label(used, text), ()
    if definition.given:
        return Label(definition.span, text), (Label(used, f"`{definition.name}` is used here"),)
    return Label(used, text), (Label(definition.span, f"`{definition.name}` has its value here"),)


@dataclass(frozen=True, slots=True)
class Placed(Generic[W_co]):
    """A bound word and where it was written. `arguments` has a span for each argument that the recipe gives.

    `definitions` says, for arguments that name a `param`, where its value is written.
    """

    word: W_co
    span: Span
    arguments: Mapping[str, Span]
    definitions: Mapping[str, Definition] = field(default_factory=dict[str, Definition])

    def argument(self, name: str | None) -> Span:
        """The span of an argument, or of the word when it was left out."""
        return self.span if name is None else self.arguments.get(name, self.span)

    def place(self, name: str | None, text: str = "") -> tuple[Label, tuple[Label, ...]]:
        """Where to show a fault of an argument, labelled `text`, and what else to show."""
        return place_of(self.argument(name), self.definitions.get(name or ""), text)


@dataclass(frozen=True, slots=True)
class Data:
    """`data digits = embedded("digits")`."""

    name: str
    source: Placed[Source]
    span: Span

    @property
    def fields(self) -> dict[str, Modality]:
        return self.source.word.fields()


@dataclass(frozen=True, slots=True)
class View:
    """`view view1 of digits.image = crop(32px) | flip`; `size` is the (height, width) that it yields."""

    name: str
    data: Data
    field: str
    transforms: tuple[Placed[Transform], ...]
    size: tuple[int, int]
    span: Span


@dataclass(frozen=True, slots=True)
class EncoderDeclaration:
    """`encoder image = timm(...)`, or `ema of image(...)`: then `of` is the name of the averaged encoder and `word`
    its word.

    `frozen` encoders run without gradient and never move; averaged ones (`momentum` is not None) follow `of`.
    """

    name: str
    word: Placed[Encoder]
    of: str | None
    momentum: Ramp | None
    frozen: bool
    weights: str | None
    span: Span

    @property
    def trained(self) -> bool:
        return self.momentum is None and not self.frozen


@dataclass(frozen=True, slots=True)
class InputReference:
    """`masked view1 of first by random(75%)` in `input`."""

    view: View
    which: Which | None
    masked: bool
    mask: Placed[MaskWord] | None
    span: Span


@dataclass(frozen=True, slots=True)
class TargetReference:
    """`view1`, `view1 of first`, `text of second`, `category` in a target's `data`: `view` is None for a plain
    field.
    """

    view: View | None
    field: str
    modality: Modality
    which: Which | None
    span: Span


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the instantiation table."""

    name: str
    data: tuple[TargetReference, ...]
    representation: Placed[Representation]
    encoder: EncoderDeclaration | None
    predictor: Placed[Predictor]
    regularizations: tuple[Placed[Regularization], ...]
    distribution: Placed[Distribution]
    weight: float
    weight_span: Span
    span: Span
    settings: Mapping[str, Span]
    """The span of each setting's value, by keyword."""

    @property
    def projected(self) -> bool:
        """Whether z_y, and so what zh is made from, goes through the encoder's projector if it has one."""
        return bool(getattr(self.representation.word, "projected", False))

    @property
    def negatives(self) -> NegativeSamples:
        """The `negative samples` of the target; those of its defaults when the regularization does not name them."""
        return next((p.word for p in self.regularizations if isinstance(p.word, NegativeSamples)), NegativeSamples())


@dataclass(frozen=True, slots=True)
class Objective:
    """`objective m3i { ... }`."""

    name: str
    inputs: tuple[InputReference, ...]
    mix: Placed[PatchMix] | None
    represent: Placed[Representation]
    encoder: EncoderDeclaration
    targets: tuple[Target, ...]
    weighting: Placed[Weighting]
    symmetric: bool
    span: Span
    settings: Mapping[str, Span]

    @property
    def mask(self) -> Placed[MaskWord] | None:
        """The mask of a single input."""
        return self.inputs[0].mask if self.mix is None else None

    def input_of(self, which: Which | None) -> InputReference:
        """The input that shows the `which` image (the only one without a mix)."""
        return next((reference for reference in self.inputs if reference.which == which), self.inputs[0])


@dataclass(frozen=True, slots=True)
class Training:
    """`train { ... }`. `batch` is the global batch; `clip` the largest gradient norm or None."""

    batch: int
    length: Duration
    warmup: Duration
    optimizer: Placed[Optimizer]
    schedule: Placed[Schedule]
    precision: Literal["fp32", "bf16"]
    seed: int
    clip: float | None
    span: Span
    settings: Mapping[str, Span]


@dataclass(frozen=True, slots=True)
class EvaluationDeclaration:
    """`knn(k: 20) every 5 epochs`; `every` is None for `at end`."""

    evaluator: Placed[Evaluator]
    every: Duration | None
    span: Span


@dataclass(frozen=True, slots=True)
class Program:
    """A whole recipe. `parameters` are its `param`s by name, with the text of the value in force."""

    name: str
    file: SourceFile
    parameters: Mapping[str, str]
    data: Mapping[str, Data]
    views: Mapping[str, View]
    encoders: Mapping[str, EncoderDeclaration]
    objectives: tuple[Objective, ...]
    training: Training
    evaluations: tuple[EvaluationDeclaration, ...]
    span: Span
