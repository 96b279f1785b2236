"""What holds for any text: it gives diagnostics, never an exception, and every diagnostic can be shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from m3i_dsl.diagnostics import FORMATS, Label, RecipeError, error, render
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.syntax import parse, parse_value
from m3i_dsl.syntax.tokens import TokenKind, tokenize

RECIPE = (Path(__file__).parent / "recipe.m3i").read_text(encoding="utf-8")
TOKENS = [token for token in tokenize(RECIPE) if token.kind is not TokenKind.COMMENT]

GENERAL = "M3I0001"
"""The message of last resort."""

# Pieces of the language, of others, and of neither: near misses find more than random characters do.
_FOREIGN = (
    *("[", "]", ";", "'", '"', "==", "//", "/*", "-", "->", "..", ".", ":", "@", "\\", "\r\n", "\t", "#", "%"),
    *("import", "let", "weight-decay", "1_000", "1.2.3", "32pix", "\u00e9", "\u2192", "\u00a0", "\U0001f600", "\x00"),
)
_pieces = st.sampled_from([*sorted({token.text for token in TOKENS}), *_FOREIGN])
soups = st.lists(st.tuples(_pieces, st.sampled_from(["", " ", "\n"])), max_size=25).map(
    lambda pairs: "".join(piece + space for piece, space in pairs)
)
texts = st.one_of(st.text(max_size=60), soups)


def _spans(text: str) -> list[Span]:
    _, diagnostics = parse(SourceFile("recipe.m3i", text))
    found: list[Span] = []
    for diagnostic in diagnostics:
        found += [diagnostic.span, *(label.span for label in diagnostic.secondary)]
        found += [diagnostic.fix.span] if diagnostic.fix is not None else []
    return found


@given(texts)
@example("(" * 5000)
@example("a by " * 3000)
@example("train {" * 3000)
@example("param x = " + "9" * 5000)
@example("param x = 1e999999999k")
@example('param x = "\\')
def test_any_text_gives_diagnostics(text: str) -> None:
    for span in _spans(text):
        assert 0 <= span.start <= span.end <= len(text)


@given(texts)
def test_any_value_is_parsed_or_refused(text: str) -> None:
    try:
        parse_value(text)
    except RecipeError as fault:
        assert fault.diagnostics


@given(texts)
def test_what_is_said_of_any_text_can_be_shown(text: str) -> None:
    _, diagnostics = parse(SourceFile("recipe.m3i", text))
    for format in FORMATS:
        render(diagnostics, format, color=True)


@given(st.text(max_size=80), st.lists(st.tuples(st.integers(-3, 90), st.integers(-3, 90)), min_size=1, max_size=4))
def test_any_span_can_be_shown(text: str, places: list[tuple[int, int]]) -> None:
    file = SourceFile("recipe.m3i", text, Span(SourceFile("main.m3i", 'use "recipe.m3i"\n'), 0, 16))
    spans = [Span(file, start, end) for start, end in places]
    secondary = [Label(span, "label") for span in spans[1:]]
    diagnostic = error(GENERAL, "message", spans[0], "label", secondary=secondary, notes=["one\ntwo"])
    assert "message" in render([diagnostic], "full")
    assert "message" in render([diagnostic], "concise")
    assert json.loads(render([diagnostic], "json"))["diagnostics"][0]["message"] == "message"


def test_a_missing_token_is_named_or_not_missed() -> None:
    """Without any one token, a recipe still parses, or one specific message says what is wrong."""
    for token in TOKENS:
        text = RECIPE[: token.start] + RECIPE[token.end :]
        _, diagnostics = parse(SourceFile("recipe.m3i", text))
        codes = [diagnostic.code for diagnostic in diagnostics]
        assert GENERAL not in codes, token
        assert len(codes) <= 1, token


@pytest.mark.parametrize("wrong", ["=", ":", "(", "}", "word", "3", '"text"', "[", ";"])
def test_a_wrong_token_gives_few_messages(wrong: str) -> None:
    """One fault, and at most one that follows from it; what is right elsewhere is kept."""
    for token in TOKENS[::5]:
        text = RECIPE[: token.start] + f" {wrong} " + RECIPE[token.end :]
        recipe, diagnostics = parse(SourceFile("recipe.m3i", text))
        assert len(diagnostics) <= 2, token
        assert len(recipe.declarations) >= 11, token
