"""Several faults give several messages, each at its place, and good declarations are kept."""

from __future__ import annotations

import pytest

from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import ast, parse


def _parse(text: str) -> tuple[list[str], list[str]]:
    """The declarations that were kept, and what is said, as `line:column code`."""
    recipe, diagnostics = parse(SourceFile("recipe.m3i", text))
    return (
        [type(declaration).__name__ for declaration in recipe.declarations],
        [f"{d.span.line}:{d.span.column} {d.code}" for d in diagnostics],
    )


def test_one_message_for_each_statement() -> None:
    text = "param a 1\nparam b = 2\nview v = crop\nencoder e = f(x y: 1, z = 2)\ntrain {\n  batch = 3\n  seed: 4\n}\n"
    kept, said = _parse(text)
    assert kept == ["Param"]
    assert said == ["1:9 M3I0015", "3:8 M3I0022", "4:15 M3I0035", "6:9 M3I0012"]


def test_a_block_that_is_not_closed_ends_at_the_next_declaration() -> None:
    kept, said = _parse("objective o {\n  input x\n\ntrain {\n  seed 0\n}\nparam a = 1\n")
    assert kept == ["Train", "Param"]
    assert said == ["1:13 M3I0005"]


def test_the_inner_block_is_blamed_when_its_brace_is_missing() -> None:
    text = "objective o {\n  target a {\n    data x\n\n  weighting fixed\n}\n\ntrain {\n  seed 0\n}\n"
    kept, said = _parse(text)
    assert kept == ["Train"]
    assert said == ["2:12 M3I0005"]


def test_the_next_target_ends_a_target_that_is_not_closed() -> None:
    text = "objective o {\n  target a {\n    data x\n  target b {\n    data y\n  }\n}\nparam a = 1\n"
    kept, said = _parse(text)
    assert kept == ["Param"]
    assert said == ["2:12 M3I0005"]


def test_a_parenthesis_that_is_not_closed_is_reported_where_it_opens() -> None:
    kept, said = _parse("encoder e = f(a,\n  b\n\nparam a = 1\ntrain {\n  optimizer g(1\n  seed 0\n}\nparam b = 2\n")
    assert kept == ["Param", "Param"]
    assert said == ["1:14 M3I0004", "6:14 M3I0004"]


def test_a_brace_too_many_is_reported_once() -> None:
    kept, said = _parse("objective o {\n  input x\n  }\n  weighting fixed\n}\n}\nparam a = 1\n")
    assert kept == ["Objective", "Param"]
    assert said == ["4:3 M3I0008"]


def test_only_a_brace_too_many() -> None:
    kept, said = _parse("train {\n  seed 0\n}\n}\nparam a = 1\n")
    assert kept == ["Train", "Param"]
    assert said == ["4:1 M3I0006"]


@pytest.mark.parametrize("head", ["train", "train:", "train =", "train x"])
def test_a_block_without_its_brace_is_one_fault(head: str) -> None:
    kept, said = _parse(f"{head}\n  batch 1\n  seed 0\n}}\nparam a = 1\n")
    assert kept == ["Param"]
    assert len(said) == 1 and said[0].endswith("M3I0031")


def test_a_brace_on_the_next_line_is_named() -> None:
    kept, said = _parse("train\n{\n  seed 0\n}\nparam a = 1\n")
    assert kept == ["Param"]
    assert said == ["1:6 M3I0031"]


def test_a_declaration_inside_a_block_is_one_fault() -> None:
    kept, said = _parse("train {\n  param a = 1\n  seed 0\n}\nparam b = 2\n")
    assert kept == ["Param"]
    assert said == ["2:3 M3I0009"]


def test_a_string_that_is_not_closed_does_not_hide_what_follows() -> None:
    kept, said = _parse('data d = embedded("digits)\nparam a = 1\n')
    assert kept == ["Param"]
    assert said == ["1:19 M3I0003"]


def test_brackets_in_strings_and_comments_do_not_count() -> None:
    kept, said = _parse('param a = f("({", 1)  # ({\nparam b 2\nparam c = 3\n')
    assert kept == ["Param", "Param"]
    assert said == ["2:9 M3I0015"]


def test_near_misses_at_the_top_level_are_separate() -> None:
    kept, said = _parse("parma a = 1\nviev v of d.image = f\nparam b = 2\n")
    assert kept == ["Param"]
    assert said == ["1:1 M3I0007", "2:1 M3I0007"]


def test_the_end_of_the_text_is_just_after_its_last_token() -> None:
    _, said = _parse("param a =   # comment\n\n\n")
    assert said == ["1:10 M3I0010"]


def test_what_was_kept_is_exact() -> None:
    recipe, _ = parse(SourceFile("recipe.m3i", "param a 1\nparam b = 2\n"))
    (param,) = recipe.declarations
    assert isinstance(param, ast.Param)
    assert param.name.text == "b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("objective o {\n  input v\n    target t\n    data x\n  }\n\ntrain {\n", ["3:13 M3I0031"]),
        (
            "objective o {\n  represent dense a {\n    data x\n  }\n}\nevaluate {\n  target end\n  target b {\n}\n",
            ["2:3 M3I0009", "7:13 M3I0025"],
        ),
    ],
)
def test_a_head_without_its_brace_is_no_brace_that_others_are_compared_with(text: str, expected: list[str]) -> None:
    _, said = _parse(text)
    assert said == expected
