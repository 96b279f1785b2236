"""The syntax tree: what was written, nothing more.

Takes: nothing (the parser builds it). Gives: frozen nodes, one class for each rule of `grammars/m3i.lark`, each with
its span. Guarantees: spans are ignored by `==`, so that `parse(print(tree)) == tree`.
"""

# ruff: noqa: RUF009  # `_span()` gives each node a field of its own, as `dataclasses.field()` does

from __future__ import annotations

from dataclasses import dataclass, field

from m3i_dsl.source import Span


def _span() -> Span:
    return field(compare=False, repr=False)  # type: ignore[no-any-return]  # dataclasses.field is untyped by design


@dataclass(frozen=True, slots=True)
class Name:
    """One identifier."""

    text: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Number:
    """`32px`, `75%`, `400k`, `0.07`, `10 epochs`. `value` is the number before the unit, after `k`, `M` or `G`.

    `unit` is `""`, `"%"`, `"px"`, `"epochs"`, `"steps"` or `"samples"`; `75%` has value 75.0 and unit `%`.
    """

    value: float
    unit: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class String:
    """`"text"`, with escapes resolved."""

    value: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Range:
    """`8%..100%`."""

    low: Number
    high: Number
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Ramp:
    """`0.996 -> 1 cosine`."""

    start: Number
    stop: Number
    shape: Name
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Rate:
    """`1.5e-4 per 256`."""

    value: Number
    per: Number
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class List:
    """`(0.9, 0.95)`; one element is written `(0.9,)`."""

    items: tuple[Value, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Argument:
    """`0.4` or `p: 80%` between the parentheses of a term."""

    name: Name | None
    value: Value
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Reference:
    """`of image`, `of digits.image`, `of image(0.996 -> 1 cosine)`: what a term is said of."""

    name: Name
    field: Name | None
    arguments: tuple[Argument, ...] | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Term:
    """The one shape of a value with words in it: `words[index](arguments) operand of reference by term`.

    `gaussian`, `stop gradient`, `dense feature(layers: 6) of momentum`, `masked view1 of first by random(75%)`,
    `ema of image(0.996 -> 1 cosine)`, `learned 0.07`, `warmup 10%`, `true`, `local[0]`. `arguments` is None when there
    are no parentheses, and empty for `()`.
    """

    words: tuple[Name, ...]
    arguments: tuple[Argument, ...] | None
    operand: Number | None
    of: Reference | None
    by: Term | None
    span: Span = _span()
    index: Number | None = None

    @property
    def name(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def name_span(self) -> Span:
        return self.words[0].span.to(self.words[-1].span)


@dataclass(frozen=True, slots=True)
class Sum:
    """`stop gradient + unigrad(0.02)`: two terms or more."""

    terms: tuple[Term, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`crop(32px) | flip`: two terms or more, applied from left to right."""

    terms: tuple[Term, ...]
    span: Span = _span()


Value = Number | String | Range | Ramp | Rate | List | Term | Sum | Pipeline


@dataclass(frozen=True, slots=True)
class Setting:
    """`keyword value, value` in a block. `symmetric true`, `epochs 30, warmup 10%`."""

    keyword: Name
    values: tuple[Value, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Version:
    """`m3i 1`."""

    number: Number
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class RecipeName:
    """`recipe m3i_digits`."""

    name: Name
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Use:
    """`use "views.m3i"`, or `use "mae.m3i" (size: 224px)`, which gives params of the file other values."""

    path: String
    span: Span = _span()
    arguments: tuple[Argument, ...] | None = None


@dataclass(frozen=True, slots=True)
class Param:
    """`param size = 32px`."""

    name: Name
    value: Value
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Data:
    """`data digits = embedded("digits")`."""

    name: Name
    value: Term
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class View:
    """`view view1 of digits.image = crop(32px) | flip`, or several: `views local[8] of digits.image = crop(16px)`.

    `value` is a term or a pipeline; `count` is None for one view, a number, or the name of a param.
    """

    name: Name
    data: Name
    field: Name
    value: Term | Pipeline
    span: Span = _span()
    count: Number | Term | None = None


@dataclass(frozen=True, slots=True)
class Encoder:
    """`encoder image = timm("vit_tiny_patch16_224")`, `encoder momentum = ema of image(0.996 -> 1 cosine)`."""

    name: Name
    value: Term
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Target:
    """`target intra { ... }`: one row of the instantiation table."""

    name: Name
    settings: tuple[Setting, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Objective:
    """`objective m3i { input ... represent ... target ... weighting ... }`, items in the order written."""

    name: Name
    items: tuple[Setting | Target, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Train:
    """`train { ... }`."""

    settings: tuple[Setting, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`knn(k: 20) every 5 epochs` (`every` is set) or `linear at end` (`every` is None)."""

    value: Term
    every: Number | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Evaluate:
    """`evaluate { ... }`."""

    evaluations: tuple[Evaluation, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Stage:
    """`stage pixels { objective ... train ... evaluate ... }`, items in the order written."""

    name: Name
    items: tuple[Objective | Train | Evaluate, ...]
    span: Span = _span()


Declaration = Version | RecipeName | Use | Param | Data | View | Encoder | Objective | Train | Evaluate | Stage


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole file: its declarations in the order written."""

    declarations: tuple[Declaration, ...]
    span: Span = _span()
