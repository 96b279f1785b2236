"""The grammar, its documentation, and the tables that must agree with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import grammar, parse, parse_value
from m3i_dsl.syntax.format import format_text
from m3i_dsl.syntax.keywords import CLAUSES, DECLARATIONS
from m3i_dsl.syntax.messages.explain import declaration_terminals

SPEC = (Path(__file__).parents[2] / "grammars" / "SPEC.md").read_text(encoding="utf-8")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", SPEC, re.MULTILINE | re.DOTALL)


def test_the_grammar_is_strict() -> None:
    """No two terminals collide and no rule is ambiguous; lark's strict mode proves it."""
    pytest.importorskip("interegular")
    grammar.build(strict=True)


def _keyword_terminals() -> dict[str, str]:
    pattern = re.compile(r"([a-z0-9]+)\(\?!")
    found = {t.name: pattern.match(t.pattern.to_regexp()) for t in grammar.parser().terminals}
    return {name: match.group(1) for name, match in found.items() if match is not None}


def test_the_tables_of_keywords_are_those_of_the_grammar() -> None:
    keywords = _keyword_terminals()
    assert set(keywords.values()) == set(DECLARATIONS) | set(CLAUSES.values())
    assert {terminal: keywords[terminal] for terminal in CLAUSES} == CLAUSES
    assert {keywords[terminal] for terminal in declaration_terminals()} == set(DECLARATIONS)


@pytest.mark.parametrize("text", _blocks("m3i"))
def test_an_example_of_the_specification_parses(text: str) -> None:
    recipe, diagnostics = parse(SourceFile("SPEC.md", text))
    assert [d.message for d in diagnostics] == []
    assert recipe.declarations
    assert format_text(SourceFile("SPEC.md", text)) == text, "examples are formatted"


@pytest.mark.parametrize("text", [line for block in _blocks("m3i-value") for line in block.splitlines()])
def test_a_value_of_the_specification_parses(text: str) -> None:
    parse_value(text)


def test_the_specification_has_examples() -> None:
    assert len(_blocks("m3i")) >= 8
    assert len(_blocks("m3i-value")) >= 6
