"""From text to syntax tree.

Takes: a `SourceFile`, or the text of one value. Gives: the recipe with every declaration that parsed, and what is wrong
with the others. Guarantees: no exception for any text; several faults give several messages; spans are offsets in the
whole file.
"""

from __future__ import annotations

from collections.abc import Sequence

from lark import TextSlice
from lark.exceptions import UnexpectedInput

from m3i_dsl.diagnostics import MOST_ERRORS, Diagnostic, Diagnostics, RecipeError, error
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.syntax import ast, grammar
from m3i_dsl.syntax.tokens import TokenKind, tokenize, tokens_of
from m3i_dsl.syntax.tree import Builder, subtree

DEEPEST_NESTING = 64
MOST_TOKENS = 20_000
"""Of one file, comments included: forty times the longest recipe there is, and what is checked within a second."""
LONGEST_WORD = 200
"""Characters of a name or a number. A name becomes that of a folder."""
LONGEST_STRING = 8192


def parse(file: SourceFile) -> tuple[ast.Recipe, Diagnostics]:
    """The recipe of `file`: every declaration that parsed, in order. Never raises."""
    diagnostics = Diagnostics()
    builder = Builder(file, diagnostics)
    if fault := _length_fault(file) or _nesting_fault(file):
        diagnostics.add(fault)
        return builder.recipe(()), diagnostics
    try:
        tree = grammar.parser().parse(file.text, start=grammar.START_FILE)
    except UnexpectedInput:
        return builder.recipe(_parse_blocks(file, builder, diagnostics)), diagnostics
    return builder.recipe([builder.declaration(subtree(child)) for child in tree.children]), diagnostics


def parse_value(text: str, name: str = "<argument>") -> ast.Value:
    """One value on its own. Raises RecipeError."""
    file = SourceFile(name, text)
    if fault := _length_fault(file) or _nesting_fault(file):
        raise RecipeError([fault])
    diagnostics = Diagnostics()
    try:
        tree = grammar.parser().parse(text, start=grammar.START_VALUE)
    except UnexpectedInput:
        raise RecipeError([_value_fault(file)]) from None
    value = Builder(file, diagnostics).value(subtree(tree.children[0]))
    diagnostics.raise_errors()
    return value


def _parse_blocks(file: SourceFile, builder: Builder, diagnostics: Diagnostics) -> Sequence[ast.Declaration]:
    """Each top-level statement on its own: one message for each that does not parse, a node for each that does."""
    from m3i_dsl.syntax import recovery  # what only a text with faults needs
    from m3i_dsl.syntax.messages import explain

    declarations: list[ast.Declaration] = []
    for block in recovery.split(file, tokenize(file.text)):
        start, end = recovery.region(block)
        try:
            tree = grammar.parser().parse(TextSlice(file.text, start, end), start=grammar.START_DECLARATION)
        except UnexpectedInput:
            found = explain(file, block.tokens, grammar.START_DECLARATION)
            assert found is not None, "a text that does not parse does so again"
            diagnostics.add(_first(block.fault, found))
            if len(diagnostics) > MOST_ERRORS:
                break
        else:
            declarations.append(builder.declaration(tree))
    assert diagnostics.has_errors, "a file does not parse although each of its statements does"
    return declarations


def _first(bracket: Diagnostic | None, found: Diagnostic) -> Diagnostic:
    """What the other follows from: the first, but a string that is not closed may have swallowed a bracket."""
    if bracket is None or found.code == "M3I0003":
        return found
    return found if found.span.start < bracket.span.start else bracket


def _value_fault(file: SourceFile) -> Diagnostic:
    from m3i_dsl.syntax import recovery
    from m3i_dsl.syntax.messages import explain

    tokens = tokenize(file.text)
    if not recovery.real(tokens):
        return error("M3I0010", "the value is empty", Span(file, 0, 0), "expected a value here")
    found = explain(file, tokens, grammar.START_VALUE)
    assert found is not None, "a text that does not parse does so again"
    return _first(next((block.fault for block in recovery.split(file, tokens) if block.fault), None), found)


def _length_fault(file: SourceFile) -> Diagnostic | None:
    if len(file.text) <= LONGEST_WORD:
        return None
    for count, token in enumerate(tokens_of(file.text)):
        if count == MOST_TOKENS:
            helps = ["move parts of it into files of their own, and `use` them"]
            message = f"the file has more than {MOST_TOKENS} words and signs"
            return error("M3I0044", message, token.span(file), helps=helps)
        longest = LONGEST_STRING if token.kind in (TokenKind.STRING, TokenKind.UNCLOSED_STRING) else LONGEST_WORD
        if len(token.text) > longest and token.kind is not TokenKind.COMMENT:
            message = f"a {token.kind.value} of {len(token.text)} characters, more than {longest}"
            return error("M3I0044", message, Span(file, token.start, token.start + 1))
    return None


def _nesting_fault(file: SourceFile) -> Diagnostic | None:
    """Nodes are built and walked by recursion: a text deeper than any recipe is refused first."""
    if file.text.count("(") + file.text.count("{") + file.text.count("by") <= DEEPEST_NESTING:
        return None
    depths = [0]
    for token in tokenize(file.text):
        if token.text in ("(", "{"):
            depths.append(depths[-1] + 1)
        elif token.text in (")", "}") and len(depths) > 1:
            depths.pop()
        elif token.text == "by":
            depths[-1] += 1
        elif token.text == "," or token.kind is TokenKind.NEWLINE:
            depths[-1] = depths[-2] + 1 if len(depths) > 1 else 0
        if depths[-1] > DEEPEST_NESTING:
            return error("M3I0043", f"nested more than {DEEPEST_NESTING} deep", token.span(file))
    return None
