"""The `param`s of a recipe and the values that they have.

Takes: the declarations and the values of `--set`. Gives: the value in force of each. Guarantees: a value of `--set`
for a `param` that does not exist, or of another type than the default, is an error at its own text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from m3i_dsl.diagnostics import Diagnostics, Label, error
from m3i_dsl.semantics.given import Given, Unparsed, given_as
from m3i_dsl.semantics.literals import describe
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.semantics.unread import Unread
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.printer import print_value


@dataclass(frozen=True, slots=True)
class Parameters:
    """Values by name, in the order of the recipe; `given` are the names that `--set` set.

    `refused` are names whose values were left out and reported.
    """

    values: Mapping[str, ast.Value]
    given: frozenset[str]
    refused: frozenset[str]


def parameters_in_force(
    declared: Iterable[ast.Param], settings: Mapping[str, Given], hidden: Unread, diagnostics: Diagnostics
) -> Parameters:
    """The values of `--set` in place of the defaults. A value may name another `param`."""
    defaults = {param.name.text: param.value for param in declared}
    values: dict[str, ast.Value] = {}
    given: set[str] = set()
    for name, default in defaults.items():
        values[name] = default
        if name not in settings:
            continue
        value = given_as(settings[name], default, defaults)
        if isinstance(value, Unparsed):
            diagnostics.extend(value.faults)
            continue
        own, wanted = _resolved(value, defaults), _resolved(default, defaults)
        if not _same_type(own, wanted):
            message = f"`--set {name}` is {describe(own)}, but the default of `{name}` is {_described(wanted)}"
            secondary = (Label(wanted.span, "the default"),)
            helps = (f"write a value like `{print_value(wanted)}`",)
            diagnostics.add(error("M3I0204", message, value.span, secondary=secondary, helps=helps))
        else:
            values[name] = value
            given.add(name)
    for name, value in settings.items():
        if "." not in name and name not in defaults and not hidden.may_define("param", name):
            all_of_them = ", ".join(f"`{known}`" for known in defaults)
            otherwise = f"its params are {all_of_them}" if defaults else "the recipe has no `param` at all"
            helps = help_for(name, defaults, otherwise=otherwise)
            diagnostics.add(error("M3I0129", f"the recipe has no `param {name}`", value.span, helps=helps))
    refused = _too_large(values, diagnostics)
    return Parameters({n: v for n, v in values.items() if n not in refused}, frozenset(given), refused)


def texts(parameters: Parameters) -> dict[str, str]:
    """The text of each value in force."""
    return {name: print_value(_resolved(value, parameters.values)) for name, value in parameters.values.items()}


def _resolved(value: ast.Value, values: Mapping[str, ast.Value]) -> ast.Value:
    """The value behind names of parameters."""
    seen: set[str] = set()
    while isinstance(value, ast.Term) and value.name in values and value.arguments is None and value.name not in seen:
        seen.add(value.name)
        value = values[value.name]
    return value


# --- what params stand for --------------------------------------------------------------------------------------------

LONGEST_CHAIN = 64
"""Params whose values name each other in a row."""

MOST_VALUES = 1000
"""Values that one param stands for, when each name in it is replaced by what it stands for."""


def _too_large(values: Mapping[str, ast.Value], diagnostics: Diagnostics) -> frozenset[str]:
    """Reports the params that stand for more than any recipe needs; what is built on such a one is not reported too.

    Linear in the text: a param is measured when those that it names are. Those of a circle, and what names them, never
    are: a circle is reported where it is used.
    """
    named = {name: [inner for inner in _names(value) if inner in values] for name, value in values.items()}
    users: dict[str, list[str]] = {name: [] for name in values}
    for name, inner in named.items():
        for used in set(inner):
            users[used].append(name)
    unmeasured = {name: len(set(inner)) for name, inner in named.items()}
    ready = [name for name, count in unmeasured.items() if count == 0]
    measured: dict[str, tuple[int, int]] = {}
    refused: set[str] = set()
    for name in ready:
        inside = [measured[inner] for inner in named[name]]
        length, size = 1 + max((length for length, _ in inside), default=0), 1 + sum(size for _, size in inside)
        if length > LONGEST_CHAIN or size > MOST_VALUES:
            what = f"{LONGEST_CHAIN} params in a row" if length > LONGEST_CHAIN else f"{MOST_VALUES} values"
            message = f"`param {name}` stands for more than {what}"
            diagnostics.add(error("M3I0140", message, values[name].span, helps=("write its value out",)))
            refused.add(name)
            length, size = 1, 1
        measured[name] = length, size
        for user in users[name]:
            unmeasured[user] -= 1
            if unmeasured[user] == 0:
                ready.append(user)
    return frozenset(refused)


def _names(value: ast.Value) -> Iterator[str]:
    """What may name a param in a value: a word alone, or the one behind `learned`."""
    match value:
        case ast.Term():
            if value.arguments is None:
                yield value.words[-1].text
            for argument in (*(value.arguments or ()), *((value.of and value.of.arguments) or ())):
                yield from _names(argument.value)
            if value.by is not None:
                yield from _names(value.by)
        case ast.Sum() | ast.Pipeline():
            for term in value.terms:
                yield from _names(term)
        case ast.List():
            for item in value.items:
                yield from _names(item)
        case ast.Number() | ast.String() | ast.Range() | ast.Ramp() | ast.Rate():
            return


_TERMS = (ast.Term, ast.Sum, ast.Pipeline)
_SCALARS = (ast.Number, ast.Ramp, ast.Rate)


def _same_type(given: ast.Value, default: ast.Value) -> bool:
    """Numbers of one unit; a plain number where a ramp, a rate, or a `learned` number is; one term where several
    are.
    """
    if isinstance(given, ast.Number) and isinstance(default, ast.Number):
        return given.unit == default.unit
    if isinstance(given, _TERMS) and isinstance(default, _TERMS):
        return True
    if isinstance(given, _SCALARS) and isinstance(default, _SCALARS):
        return all(not isinstance(value, ast.Number) or value.unit == "" for value in (given, default))
    learned = [value for value in (given, default) if isinstance(value, ast.Term) and value.words[0].text == "learned"]
    plain = [value for value in (given, default) if isinstance(value, ast.Number) and value.unit == ""]
    return type(given) is type(default) or (len(learned), len(plain)) == (1, 1)


def _described(value: ast.Value) -> str:
    return "a word" if isinstance(value, ast.Term) else describe(value)
