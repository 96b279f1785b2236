"""What a word of the language is.

Takes: nothing. Gives: `Word`, the base of every vocabulary class: a frozen dataclass whose fields are the arguments
that a recipe may write, each with type, unit, default, doc and the source of its default. Guarantees: no torch; a word
is data, and `word.text()` written in a recipe binds back to an equal word.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, cast

from m3i_dsl.vocabulary import values
from m3i_dsl.vocabulary.limits import Limits
from m3i_dsl.vocabulary.values import Duration, Quantity, Ramp, Rate, Scalar

Kind = Literal[
    "source",
    "transform",
    "mask",
    "mix",
    "encoder",
    "predictor",
    "representation",
    "regularization",
    "distribution",
    "weighting",
    "optimizer",
    "schedule",
    "evaluator",
    "modality",
]

Origin = str
"""Where a default comes from: "paper" (M3I), the name of the reference implementation, or "our choice"."""


class Effect(enum.Enum):
    """What calling a word's module or function does besides computing its value. Unknown means not pure.

    `BATCH_COUPLED`: what a sample gives depends on the other samples of the global batch, those of other processes
    included. `COLLECTIVE`: it communicates, though each sample's value is its own.
    """

    RANDOM = "random"
    STATEFUL = "stateful"
    BATCH_COUPLED = "batch-coupled"
    COLLECTIVE = "collective"


PURE: frozenset[Effect] = frozenset()
COMMUNICATES = frozenset({Effect.BATCH_COUPLED, Effect.COLLECTIVE})
"""The effects by which a word's module calls collectives when there are several processes."""


def argument(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    origin: Origin = "our choice",
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    tiny: float | None = None,
) -> Any:
    """A field of a word. `minimum`/`maximum` are inclusive, `above`/`below` exclusive; a `%` bound is a fraction.

    `tiny` is the most that it is in the tiny version of a recipe: give it for what costs time or memory (widths,
    layers) and for noise, as 0.
    """
    bounds = Bounds(minimum, maximum, above, below)
    return dataclasses.field(default=default, metadata={"doc": doc, "origin": origin, "bounds": bounds, "tiny": tiny})


@dataclass(frozen=True, slots=True)
class Bounds:
    """The allowed numbers of an argument."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None

    def allows(self, value: float) -> bool:
        return not (
            (self.minimum is not None and value < self.minimum)
            or (self.maximum is not None and value > self.maximum)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )

    def text(self, unit: str) -> str:
        parts = [
            f"{word} {values.number_text(bound, unit)}"
            for word, bound in (
                ("at least", self.minimum),
                ("above", self.above),
                ("at most", self.maximum),
                ("below", self.below),
            )
            if bound is not None
        ]
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class ValueType:
    """The declared type of an argument, read once from its annotation.

    `form` says how it is written; `quantity` its unit; `choices` the names it may be; `word` the kind of word it is.
    `optional` arguments may be left out and are then None (never written `none` by the printer); in the place of a
    `ranged` number may stand a range of them.
    """

    form: Literal[
        "number", "range", "list", "boolean", "string", "choice", "ramp", "rate", "scalar", "duration", "word"
    ]
    quantity: Quantity | None = None
    choices: tuple[str, ...] = ()
    word: type[Word] | None = None
    optional: bool = False
    ranged: bool = False

    def describe(self) -> str:
        """The type in the words of a message: "a whole number", "a percentage", "`mean` or `sum`"."""
        unit = self.quantity.unit if self.quantity else ""
        whole = bool(self.quantity and self.quantity.whole)
        match self.form:
            case "number":
                names = {"": "a whole number" if whole else "a number", "%": "a percentage", "px": "a length in px"}
                return f"{names[unit]} or a range of them" if self.ranged else names[unit]
            case "range":
                return "a range of percentages" if unit == "%" else "a range of numbers"
            case "list":
                return "a list of numbers"
            case "boolean":
                return "`true` or `false`"
            case "string":
                return "a string"
            case "choice":
                return " or ".join(f"`{choice}`" for choice in self.choices)
            case "ramp":
                return "a number or a ramp `a -> b cosine`"
            case "rate":
                return "a learning rate, `1e-3` or `1.5e-4 per 256`"
            case "scalar":
                return "a number or `learned` and a number"
            case "duration":
                return "a length in epochs, steps, samples or %"
            case "word":
                assert self.word is not None
                article = "an" if self.word.kind[0] in "aeiou" else "a"
                return f"{article} {self.word.kind}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a word as declared."""

    name: str
    type: ValueType
    default: Any
    doc: str
    origin: Origin
    bounds: Bounds
    tiny: float | None

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING and not self.type.optional


class Word:
    """Base of all words. A concrete word is a frozen, slotted dataclass in a file of its own.

    `kind` is the grammar's word for its role, `name` what a recipe writes (may be several words, "dense feature").
    The class docstring's first paragraph is the one-line doc of `m3ic vocab`; the rest is its long doc, with formula.
    """

    __slots__ = ()

    kind: ClassVar[Kind]
    name: ClassVar[str]
    effects: ClassVar[frozenset[Effect]] = PURE

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """The arguments in the order in which they may be given without a name."""
        return _parameters(cls)

    @classmethod
    def summary(cls) -> str:
        """The first paragraph of the docstring on one line."""
        return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())

    def effects_of(self) -> frozenset[Effect]:
        """The effects of this word with its arguments; those of its class unless they depend on arguments."""
        return self.effects

    def shrunk(self, limits: Limits) -> Self:
        """The same word in a size that computes in milliseconds, for the tiny version of a recipe.

        A word whose sizes depend on each other or on `limits` overrides it and starts with `with_tiny_arguments`.
        Raises WordError when it cannot be so small.
        """
        return self.with_tiny_arguments(limits)

    def with_tiny_arguments(self, limits: Limits) -> Self:
        """The same word with each argument at most what it declares as `tiny`, and its inner words shrunk."""
        changed = {p.name: _shrunk(getattr(self, p.name), p.tiny, limits) for p in self.parameters()}
        return dataclasses.replace(self, **changed)  # type: ignore[type-var]  # every concrete word is a dataclass

    def inner(self) -> tuple[Word, ...]:
        """The words that it is made of."""
        values_ = (getattr(self, parameter.name) for parameter in self.parameters())
        return tuple(value for value in values_ if isinstance(value, Word))

    def details(self) -> tuple[str, ...]:
        """What a box of a picture says below its name: short lines, of what a reader of a paper wants to know.

        A picture has `text()` as the box's tooltip, so that most arguments need not be said.
        """
        return ()

    def text(self) -> str:
        """The word as a recipe writes it, with every argument that has a value."""
        written = [
            f"{parameter.name}: {argument_text(getattr(self, parameter.name), parameter.type)}"
            for parameter in self.parameters()
            if getattr(self, parameter.name) is not None
        ]
        return f"{self.name}({', '.join(written)})" if written else self.name


def _shrunk(value: Any, tiny: float | None, limits: Limits) -> Any:
    if isinstance(value, Word):
        return value.shrunk(limits)
    return value if value is None or tiny is None else min(value, type(value)(tiny))


@functools.cache
def _parameters(word: type[Word]) -> tuple[Parameter, ...]:
    hints = typing.get_type_hints(word, include_extras=True)
    return tuple(
        Parameter(
            name=field.name,
            type=value_type(hints[field.name]),
            default=None
            if field.default is dataclasses.MISSING and value_type(hints[field.name]).optional
            else field.default,
            doc=field.metadata["doc"],
            origin=field.metadata["origin"],
            bounds=field.metadata["bounds"],
            tiny=field.metadata["tiny"],
        )
        for field in dataclasses.fields(word)  # type: ignore[arg-type]  # every concrete word is a dataclass
    )


_FORMS: dict[type, Literal["boolean", "string", "ramp", "rate", "scalar", "duration"]] = {
    bool: "boolean",
    str: "string",
    Ramp: "ramp",
    Rate: "rate",
    Scalar: "scalar",
    Duration: "duration",
}


def value_type(annotation: Any) -> ValueType:
    """Reads an annotation (see `values`) into a ValueType; raises TypeError for one that no recipe could write."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(annotation) if part is not type(None)]
        if len(inner) != 1:
            raise TypeError(f"an argument has one type, possibly `| None`: {annotation}")
        return dataclasses.replace(value_type(inner[0]), optional=True)
    if origin is typing.Annotated:
        base, quantity = typing.get_args(annotation)[:2]
        if typing.get_origin(base) is tuple:
            return ValueType("list" if Ellipsis in typing.get_args(base) else "range", quantity)
        return ValueType("number", quantity, ranged=typing.get_origin(base) is types.UnionType)
    if origin is Literal:
        return ValueType("choice", choices=typing.get_args(annotation))
    if annotation in _FORMS:
        return ValueType(_FORMS[annotation])
    if isinstance(annotation, type) and issubclass(annotation, Word):
        return ValueType("word", word=annotation)
    raise TypeError(f"no recipe could write a value of type {annotation}")


def argument_text(value: Any, type_: ValueType) -> str:
    """`value` of declared type `type_` as a recipe writes it."""
    unit = type_.quantity.unit if type_.quantity else ""
    match "range" if type_.ranged and not isinstance(cast(object, value), float) else type_.form:
        case "number":
            return values.number_text(value, unit)
        case "range":
            return f"{values.number_text(value[0], unit)}..{values.number_text(value[1], unit)}"
        case "list":
            inner = ", ".join(values.number_text(item, unit) for item in value)
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case "boolean":
            return "true" if value else "false"
        case "string":
            return values.string_text(value)
        case "choice":
            return str(value)
        case "ramp":
            return values.ramp_text(value)
        case "rate":
            return values.rate_text(value)
        case "scalar":
            return values.scalar_text(value)
        case "duration":
            return values.duration_text(value)
        case "word":
            return str(value.text())
