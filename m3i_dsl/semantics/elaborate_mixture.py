"""Elaboration of `data all = mixture(laion: 80%, imagenet: 20%)`.

Takes: a `data` declaration. Gives: a `Mixture`. Guarantees: its shares are exact fractions that sum to 1, of two
sources or more, each named once; a field that several sources have is of one sort.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NoReturn

from m3i_dsl.diagnostics import Label, error
from m3i_dsl.semantics.bind import Attempts
from m3i_dsl.semantics.literals import WHOLE, describe
from m3i_dsl.semantics.program import AnyData, Data, Mixture, Share
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.sources.mixture import MixtureOf
from m3i_dsl.vocabulary.values import Quantity, number_text
from m3i_dsl.vocabulary.word import Bounds, ValueType

_EXAMPLE = "write `mixture(laion: 80%, imagenet: 20%)`, with names of `data`"
_PERCENT = ValueType("number", Quantity("%"))


def mixture_term(declaration: ast.Data, scope: Scope) -> ast.Term | None:
    """The term of a mixture, written here or in a `param`; None for a source."""
    value: ast.Value = declaration.value
    seen: set[str] = set()
    while isinstance(value, ast.Term):
        if value.name == MixtureOf.name:
            scope.binder.used.update(seen)
            return value
        if value.name in seen or scope.binder.definition(value) is None:
            return None
        seen.add(value.name)
        value = scope.binder.parameters[value.name]
    return None


def elaborate_mixture(declaration: ast.Data, value: ast.Term, scope: Scope) -> Mixture:
    """Raises Unbound after reporting (M3I0322 for shares that are none)."""
    scope.binder.no_extras(value, f"`{MixtureOf.name}`")
    arguments = value.arguments or ()
    attempts = Attempts()
    shares = [attempts(lambda a=argument: _share(declaration, a, scope)) for argument in arguments]
    attempts.finish()
    if len(shares) < 2:
        _fail(scope, "a mixture is of two sources or more", value.name_span, _EXAMPLE)
    for index, share in enumerate(shares):
        for earlier in shares[:index]:
            if earlier.data is share.data:
                first = Label(earlier.span, "first named here")
                message = f"`{share.data.name}` is named twice"
                scope.fail(error("M3I0125", message, share.span, secondary=(first,), helps=("leave one out",)))
    _same_sort(shares, scope)
    return Mixture(declaration.name.text, _normalized(shares, scope, value), value.span, declaration.span)


def _share(declaration: ast.Data, argument: ast.Argument, scope: Scope) -> Share:
    """One source with its share; `part` is not yet a part of 1 when shares are whole numbers."""
    if argument.name is None:
        message = f"a part of a mixture is `DATA: SHARE`, found {describe(argument.value)}"
        _fail(scope, message, argument.span, _EXAMPLE)
    others = [name for name in scope.names("data") if name != declaration.name.text]
    attempts = Attempts()
    data = attempts(lambda: _source(argument.name, others, scope))
    part, written = attempts(lambda: _part(argument, scope)) or (Fraction(1), "")
    attempts.finish()
    return Share(data, part, written, argument.span)


def _source(name: ast.Name | None, others: list[str], scope: Scope) -> Data:
    assert name is not None
    data = scope.find("data", name, AnyData, others)
    if not isinstance(data, Data):
        first = Label(data.place, "a mixture")
        message = f"a mixture is of sources, but `{name.text}` is a mixture itself"
        helps = ("name its sources here, each with its share of the whole",)
        scope.fail(error("M3I0322", message, name.span, secondary=(first,), helps=helps))
    return data


def _part(argument: ast.Argument, scope: Scope) -> tuple[Fraction, str]:
    """A percentage as the exact fraction that is written, or a whole number."""
    assert argument.name is not None
    written = argument.value
    while isinstance(written, ast.Term) and scope.binder.definition(written) is not None:
        written = scope.binder.parameters[written.name]
    percent = not isinstance(written, ast.Number) or written.unit == "%"
    what = f"the share of `{argument.name.text}`"
    bounds = Bounds(above=0, maximum=1) if percent else Bounds(minimum=1)
    number = scope.binder.value(argument.value, _PERCENT if percent else WHOLE, what, bounds)
    text = number_text(number, "%" if percent else "")
    return (Fraction(text.removesuffix("%")) / 100, text) if percent else (Fraction(number), text)


def _normalized(shares: list[Share], scope: Scope, value: ast.Term) -> tuple[Share, ...]:
    """Shares whose parts sum to 1."""
    percent = [share.written.endswith("%") for share in shares]
    if any(percent) and not all(percent):
        odd = shares[percent.index(not percent[0])]
        message = "the shares of a mixture are all percentages or all whole numbers"
        _fail(scope, message, odd.span, "write them in one way", unlike=Label(shares[0].span, "unlike this one"))
    total = sum((share.part for share in shares), Fraction(0))
    if percent[0] and total != 1:
        last = shares[-1]
        rest = 1 - (total - last.part)
        helps = [f"write `{last.data.name}: {_percent(rest)}`"] if rest > 0 else []
        helps.append("or whole numbers, such as `2` and `1` for two thirds and one third")
        message = f"the shares of a mixture sum to 100%, but these are {_percent(total)}"
        _fail(scope, message, value.span, *helps)
    return tuple(Share(share.data, share.part / total, share.written, share.span) for share in shares)


def _same_sort(shares: list[Share], scope: Scope) -> None:
    """A field by one name is of one sort in all sources."""
    met: dict[str, Share] = {}
    for share in shares:
        for name, modality in share.data.fields.items():
            first = met.setdefault(name, share)
            known = first.data.fields[name]
            if known != modality:
                message = f"field `{name}` is {known.text()} in `{first.data.name}`, but {modality.text()} here"
                labels = (Label(first.span, "the other one"),)
                helps = ("name the field otherwise in one of the sources",)
                scope.fail(error("M3I0322", message, share.span, secondary=labels, helps=helps))


def _percent(part: Fraction) -> str:
    return number_text(float(part), "%")


def _fail(scope: Scope, message: str, span: Span, *helps: str, unlike: Label | None = None) -> NoReturn:
    scope.fail(error("M3I0322", message, span, secondary=(unlike,) if unlike else (), helps=helps))
