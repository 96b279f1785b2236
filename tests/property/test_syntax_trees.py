"""What holds for any syntax tree: it prints, and parses back; its layout is stable and keeps every comment."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import ast, parse, parse_value
from m3i_dsl.syntax.format import format_text
from m3i_dsl.syntax.printer import print_recipe, print_value
from m3i_dsl.syntax.tokens import TokenKind, tokenize
from tests.property.trees import recipes, values


def _parsed(text: str) -> ast.Recipe:
    recipe, diagnostics = parse(SourceFile("recipe.m3i", text))
    assert [(d.code, d.message) for d in diagnostics] == []
    return recipe


@given(recipes)
def test_a_recipe_prints_and_parses_back(recipe: ast.Recipe) -> None:
    text = print_recipe(recipe)
    assert _parsed(text) == recipe
    assert format_text(SourceFile("recipe.m3i", text)) == text


@given(values)
def test_a_value_prints_and_parses_back(value: ast.Value) -> None:
    assert parse_value(print_value(value)) == value


@given(recipes)
def test_every_span_covers_its_node(recipe: ast.Recipe) -> None:
    """The text of a declaration's span, parsed on its own, is that declaration."""
    for declaration in _parsed(print_recipe(recipe)).declarations:
        assert _parsed(declaration.span.text + "\n").declarations == (declaration,)


_SPACES = ("", " ", "  ", "\t")
_COMMENTS = ("", "", " # note", "#", "   #~ x  ")
_BREAKS = ("\n", "\n\n\n", "\r\n", "\n  # own line\n", "\n\n# a\n# b\n\n")
_INNER_BREAKS = (" # after it\n", "\n", "\n\n  ")


def _messy(recipe: ast.Recipe, seed: int) -> str:
    """A recipe with other whitespace between its tokens, and comments where its lines end."""
    text, random = print_recipe(recipe), Random(seed)
    pieces: list[str] = []
    position = 0
    for token in tokenize(text):
        gap = text[position : token.start]
        if token.kind is TokenKind.NEWLINE:
            pieces.append(random.choice(_COMMENTS) + random.choice(_BREAKS))
        elif token.text in (",", "|", "+") and random.random() < 0.2:
            pieces.append(gap + token.text + random.choice(_INNER_BREAKS))
        else:
            pieces.append(gap + (random.choice(_SPACES) if gap else "") + token.text)
        position = token.end
    return "".join(pieces)


@given(recipes, st.integers(0, 2**16))
def test_formatting_changes_only_whitespace(recipe: ast.Recipe, seed: int) -> None:
    text = _messy(recipe, seed)
    formatted = format_text(SourceFile("recipe.m3i", text))
    assert _code(formatted) == _code(text)
    assert _comments(formatted) == _comments(text)
    assert _parsed(formatted) == recipe
    assert format_text(SourceFile("recipe.m3i", formatted)) == formatted


def _code(text: str) -> list[str]:
    return [token.text for token in tokenize(text) if token.kind not in (TokenKind.COMMENT, TokenKind.NEWLINE)]


def _comments(text: str) -> list[tuple[str | None, str]]:
    """Each comment with the token that it is behind; None for one on a line of its own."""
    last: str | None = None
    found: list[tuple[str | None, str]] = []
    for token in tokenize(text):
        if token.kind is TokenKind.COMMENT:
            found.append((None if token.first else last, token.text.rstrip()))
        elif token.kind is not TokenKind.NEWLINE:
            last = token.text
    return found
