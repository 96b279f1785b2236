"""From text to syntax tree.

Takes: a `SourceFile`, or the text of one value. Gives: the recipe with every declaration that parsed, and what is wrong with the
others. Guarantees: no exception for any text; several faults give several messages; spans are offsets in the whole file.
"""

from __future__ import annotations

from lark import TextSlice
from lark.exceptions import UnexpectedInput

from m3i_dsl.diagnostics import Diagnostics, error
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.syntax import ast, grammar
from m3i_dsl.syntax.tree import Builder


def parse(file: SourceFile) -> tuple[ast.Recipe, Diagnostics]:
    """The recipe of `file`: every declaration that parsed, in order. Never raises."""
    diagnostics = Diagnostics()
    builder = Builder(file, diagnostics)
    try:
        tree = grammar.parser().parse(file.text, start=grammar.START_FILE)
    except UnexpectedInput as fault:
        place = min(fault.pos_in_stream or 0, len(file.text))
        diagnostics.add(error("M3I0001", "unexpected text", Span(file, place, place)))
        return builder.recipe(()), diagnostics
    return builder.recipe([builder.declaration(child) for child in tree.children]), diagnostics


def parse_value(text: str, name: str = "<argument>") -> ast.Value:
    """One value on its own. Raises RecipeError."""
    file = SourceFile(name, text)
    diagnostics = Diagnostics()
    builder = Builder(file, diagnostics)
    try:
        tree = grammar.parser().parse(TextSlice(text, 0, len(text)), start=grammar.START_VALUE)
    except UnexpectedInput as fault:
        place = min(fault.pos_in_stream or 0, len(text))
        diagnostics.add(error("M3I0001", "unexpected text", Span(file, place, place)))
        diagnostics.raise_errors()
        raise AssertionError("unreachable") from None
    value = builder.value(tree.children[0])
    diagnostics.raise_errors()
    return value
