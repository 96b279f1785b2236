"""What holds for any text: checking it gives diagnostics in its bounds, never an exception."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from m3i_dsl.diagnostics import FORMATS, Diagnostic, RecipeError, render
from m3i_dsl.driver import check_file, resolve
from m3i_dsl.source import InMemory, SourceFile, Span
from m3i_dsl.syntax import parse_value
from m3i_dsl.syntax.tokens import TokenKind, tokenize
from m3i_dsl.vocabulary.registry import KINDS, words
from tests.property.recipes import recipes

_NAMES = ["view1", "image", "digits", "momentum", "first", "second", "category", "text", "size", "masked", "learned"]
_VALUES = [
    *("0", "1", "2", "-1", "0.5", "1e300", "1e-300", "9007199254740993", "32px", "7px", "0px", "1e9px"),
    *("0%", "50%", "100%", "300%", "10 epochs", "5 steps", "1..2", "2..1", "1 -> 0 cosine", "1 -> 2 none", "1 per 0"),
    *("(1,)", "(1, 2)", "(60%, 50%)", '""', '"a"', '"digits"', '"resnet18"', '"swin_tiny_patch4_window7_224"'),
    *("true", "false", "none", "mean", "class", "hidden", "drop", "mask", "relative", "isolated", "all", "l2"),
]
_SYMBOLS = ["(", ")", "{", "}", ",", ":", "|", "+", "=", ".", "..", "->", "of", "by", "per", "every", "at", "end", "\n"]
_WORDS = sorted({name for kind in KINDS for name in words(kind)})
_KEYWORDS = ["param", "data", "view", "encoder", "objective", "target", "train", "evaluate", "input", "represent"]
_pieces = st.sampled_from([*_NAMES, *_VALUES, *_SYMBOLS, *_WORDS, *_KEYWORDS])


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """A right recipe in which a few tokens are dropped, doubled, exchanged, or replaced."""
    text = draw(recipes())
    tokens = [token for token in tokenize(text) if token.kind is not TokenKind.NEWLINE]
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(tokens) - 1))
        token = tokens[index]
        other = tokens[draw(st.integers(0, len(tokens) - 1))].text
        new = draw(st.one_of(st.just(""), st.just(f"{token.text} {token.text}"), st.just(other), _pieces))
        text = f"{text[: token.start]} {new} {text[token.end :]}"
        tokens = [token for token in tokenize(text) if token.kind is not TokenKind.NEWLINE] or tokens
    return text


def _spans(diagnostic: Diagnostic) -> list[Span]:
    fixes = [] if diagnostic.fix is None else [diagnostic.fix.span]
    return [diagnostic.span, *(label.span for label in diagnostic.secondary), *fixes]


@given(mutants())
@example("m3i 1\nrecipe x\nparam a = a\ndata d = a\nview v of d.image = a\nencoder e = a\n")
@example('m3i 1\nrecipe x\nparam a = b | b\nparam b = a | a\ndata d = embedded("digits")\nview v of d.image = a\n')
@example("m3i 1\nrecipe x\ntrain {\n  batch 1e400\n  epochs 1e400\n  optimizer adamw(lr: 1e400)\n}\n")
def test_checking_any_text_gives_diagnostics(text: str) -> None:
    checked = check_file(SourceFile("recipe.m3i", text), reader=InMemory({}))
    for diagnostic in checked.diagnostics:
        assert diagnostic.message
        for span in _spans(diagnostic):
            assert 0 <= span.start <= span.end <= len(text)
    for format in FORMATS:
        render(checked.diagnostics, format)
    assert (checked.program is None) == checked.diagnostics.has_errors
    if checked.program is not None:
        assert resolve(checked.program)


@given(mutants())
def test_a_few_changes_give_few_messages(text: str) -> None:
    """Each change may be a fault in several places, but what depends on a faulty thing is silent."""
    checked = check_file(SourceFile("recipe.m3i", text), reader=InMemory({}))
    places = [(d.code, d.span, d.message) for d in checked.diagnostics]
    assert len(places) == len(set(places)), "the same is said of the same place twice"


@given(st.lists(_pieces, min_size=1, max_size=4).map(" ".join))
def test_any_value_may_be_given_to_a_param(value: str) -> None:
    try:
        parsed = parse_value(value, "<--set size>")
    except RecipeError:
        return
    text = (
        'm3i 1\nrecipe x\n\nparam size = 32px\n\ndata digits = embedded("digits")\n\n'
        "view view1 of digits.image = crop(size)\n\n"
        'encoder image = timm("vit_tiny_patch16_224", image: size, patch: 8px, width: 48, depth: 2, heads: 3)\n\n'
        "objective o {\n  input     masked view1 by random\n  represent dense feature of image\n  target t {\n"
        "    data           view1\n    representation dense pixels\n    regularization none\n"
        "    distribution   gaussian\n  }\n}\n\n"
        "train {\n  batch     8\n  epochs    1\n  optimizer adamw(lr: 1)\n}\n"
    )
    checked = check_file(SourceFile("recipe.m3i", text), {"size": parsed}, InMemory({}))
    render(checked.diagnostics)
    for diagnostic in checked.diagnostics:
        assert any(span.file.name == "<--set size>" for span in _spans(diagnostic)), diagnostic.message
