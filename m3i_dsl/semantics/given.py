"""What `--set` gives.

Takes: the text behind `NAME=`. Gives: a value, or the text with what is wrong with it as a value. Guarantees: where a
string stands, the text is the string, whether or not it would be a value: a shell takes quotes away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from m3i_dsl.diagnostics import Diagnostic, RecipeError
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast, parse_value


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A text that is no value of the language: a path or an address, or a mistake."""

    value: str
    span: Span
    faults: tuple[Diagnostic, ...]


Given = ast.Value | Unparsed


def given(name: str, text: str) -> Given:
    """The value of `--set name=text`."""
    try:
        return parse_value(text, f"<--set {name}>")
    except RecipeError as fault:
        first = fault.diagnostics[0].span
        return Unparsed(text.strip(), Span(first.file, 0, len(first.file.text)), fault.diagnostics)


def given_as(value: Given, old: ast.Value | None, params: Mapping[str, ast.Value]) -> Given:
    """`value` in the place of `old`: the text itself in that of a string, unless it is one or names a `param`."""
    seen: set[str] = set()
    while isinstance(old, ast.Term) and old.name in params.keys() - seen:
        seen.add(old.name)
        old = params[old.name]
    named = isinstance(value, ast.Term) and value.name in params
    if not isinstance(old, ast.String) or isinstance(value, ast.String) or named:
        return value
    return ast.String(value.span.file.text.strip(), value.span)
