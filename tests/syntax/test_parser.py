"""What parses, to which tree, and where its nodes are."""

from __future__ import annotations

import pytest

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.syntax import ast, parse, parse_value

_FILE = SourceFile("x", "")
_ANY = Span(_FILE, 0, 0)


def _declarations(text: str) -> tuple[ast.Declaration, ...]:
    recipe, diagnostics = parse(SourceFile("recipe.m3i", text))
    assert [str(d.span) + d.message for d in diagnostics] == []
    return recipe.declarations


def _number(value: float, unit: str = "") -> ast.Number:
    return ast.Number(value, unit, _ANY)


def _name(text: str) -> ast.Name:
    return ast.Name(text, _ANY)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("3", 3, ""),
        ("-1", -1, ""),
        (".5", 0.5, ""),
        ("1.5e-4", 1.5e-4, ""),
        ("75%", 75, "%"),
        ("32px", 32, "px"),
        ("400k", 400_000, ""),
        ("1.1k", 1100, ""),
        ("2.5M", 2_500_000, ""),
        ("1G", 1e9, ""),
        ("10 epochs", 10, "epochs"),
        ("1 epoch", 1, "epochs"),
        ("400k steps", 400_000, "steps"),
        ("1 step", 1, "steps"),
        ("50M samples", 50_000_000, "samples"),
        ("1 sample", 1, "samples"),
    ],
)
def test_numbers(text: str, value: float, unit: str) -> None:
    assert parse_value(text) == _number(value, unit)


def test_the_parts_of_a_term() -> None:
    value = parse_value('dense feature(layers: 6, "x") 2 of image.top(1) by random(75%)')
    argument = ast.Argument(_name("layers"), _number(6), _ANY)
    by = ast.Term((_name("random"),), (ast.Argument(None, _number(75, "%"), _ANY),), None, None, None, _ANY)
    of = ast.Reference(_name("image"), _name("top"), (ast.Argument(None, _number(1), _ANY),), _ANY)
    arguments = (argument, ast.Argument(None, ast.String("x", _ANY), _ANY))
    assert value == ast.Term((_name("dense"), _name("feature")), arguments, _number(2), of, by, _ANY)


def test_no_parentheses_and_empty_ones_differ() -> None:
    bare, empty = parse_value("flip"), parse_value("flip()")
    assert isinstance(bare, ast.Term) and bare.arguments is None
    assert isinstance(empty, ast.Term) and empty.arguments == ()


def test_by_binds_to_the_right() -> None:
    value = parse_value("a by b by c")
    assert isinstance(value, ast.Term) and value.by is not None and value.by.by is not None
    assert value.by.by.name == "c"


def test_escapes() -> None:
    assert parse_value(r'"a\"b\\c\nd\te"') == ast.String('a"b\\c\nd\te', _ANY)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_spans_are_places_in_the_whole_file(line_end: str) -> None:
    text = line_end.join(["# \U0001f600 comment", "", "param size = 32px  # x", "train {", "  batch 256", "}", ""])
    param, train = _declarations(text)
    assert isinstance(param, ast.Param) and isinstance(train, ast.Train)
    assert param.span.text == "param size = 32px"
    assert (param.span.line, param.span.column) == (3, 1)
    assert param.name.span.text == "size"
    assert param.value.span.text == "32px"
    assert train.span.text.startswith("train {") and train.span.text.endswith("}")
    assert train.settings[0].span.text == "batch 256"
    assert str(train.settings[0].values[0].span) == "recipe.m3i:5:9"


def test_spans_after_a_fault_are_places_in_the_whole_file() -> None:
    """A text with a fault is parsed statement by statement; its offsets still count from its start."""
    recipe, diagnostics = parse(SourceFile("recipe.m3i", "param a 1\n\nparam bee = 32px\n"))
    assert [d.code for d in diagnostics] == ["M3I0015"]
    (param,) = recipe.declarations
    assert isinstance(param, ast.Param)
    assert param.value.span.text == "32px"
    assert str(param.value.span) == "recipe.m3i:3:13"


@pytest.mark.parametrize("word", ["data", "train", "of", "by", "every", "end", "epochs", "m3i", "target", "view"])
def test_keywords_are_names_elsewhere(word: str) -> None:
    (param,) = _declarations(f"param {word} = f({word}: {word})")
    assert isinstance(param, ast.Param)
    assert param.name.text == word


def test_a_keyword_ends_where_its_word_ends() -> None:
    _, diagnostics = parse(SourceFile("recipe.m3i", 'dataset = embedded("digits")\n'))
    assert [d.code for d in diagnostics] == ["M3I0007"]


@pytest.mark.parametrize(
    "text",
    [
        "train { seed 0 }",
        "train {\n\n# c\n seed 0 # d\n}",
        "train { seed 0\n}",
        "train { seed\t0 }\r\n",
        "\n\n# c\ntrain {\nseed 0 }",
    ],
)
def test_a_block_on_one_line_or_several(text: str) -> None:
    assert _declarations(text) == (ast.Train((ast.Setting(_name("seed"), (_number(0),), _ANY),), _ANY),)


def test_lines_go_on_inside_parentheses_and_after_operators() -> None:
    text = "view v of d.image =\n  crop(\n 32px # why\n ,\n)|# then\n\n flip\nparam a = 0.1 ->\n 1 cosine"
    view, param = _declarations(text)
    assert isinstance(view, ast.View) and isinstance(view.value, ast.Pipeline)
    assert len(view.value.terms) == 2
    assert isinstance(param, ast.Param) and isinstance(param.value, ast.Ramp)


def test_an_empty_text_is_an_empty_recipe() -> None:
    assert _declarations("") == ()
    assert _declarations("\n# only a comment") == ()


@pytest.mark.parametrize("text", ["", " ", "# c", "32px 3", "param x = 1", "(", '"a', "1\n2", "a b c =", "}"])
def test_a_value_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_value(text, "<--set size>")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.span.file.name == "<--set size>"
    assert diagnostic.code != "M3I0001"


def test_faults_inside_tokens_are_all_reported() -> None:
    _, diagnostics = parse(SourceFile("recipe.m3i", 'param a = "\\q \\z"\nparam b = 1e999\nparam c = 3% epochs\n'))
    found = [(d.code, d.span.text) for d in diagnostics]
    assert found == [("M3I0038", "\\q"), ("M3I0038", "\\z"), ("M3I0039", "1e999"), ("M3I0021", "3% epochs")]
