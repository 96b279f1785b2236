"""The grammar, its documentation, and the tables that must agree with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import grammar, parse, parse_value, tables
from m3i_dsl.syntax.format import format_text
from m3i_dsl.syntax.keywords import CLAUSES, DECLARATIONS
from m3i_dsl.syntax.messages.explain import declaration_terminals

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
SPEC = (ROOT / "grammars" / "SPEC.md").read_text(encoding="utf-8")
KEPT = (ROOT / "grammars" / grammar.TABLES).read_bytes()


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", SPEC, re.MULTILINE | re.DOTALL)


def test_the_grammar_is_strict() -> None:
    """No two terminals collide and no rule is ambiguous; lark's strict mode proves it."""
    pytest.importorskip("interegular")
    grammar.build(strict=True)


def test_the_kept_tables_are_those_of_the_grammar() -> None:
    """`make tables` writes them; with the pinned lark nothing is built when a recipe is read."""
    kept = tables.load(KEPT, grammar.grammar_text(), grammar.settings())
    assert kept is not None
    built = grammar.build()
    for path in sorted(RECIPES.glob("*.m3i")):
        text = path.read_text(encoding="utf-8")
        assert kept.parse(text, start="start") == built.parse(text, start="start")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (KEPT, grammar.grammar_text() + "// another"),
        (KEPT.replace(b"lark 1.", b"lark 0."), grammar.grammar_text()),
        (KEPT[:1000], grammar.grammar_text()),
        (b"{}", grammar.grammar_text()),
    ],
    ids=["another grammar", "another lark", "cut", "empty"],
)
def test_other_tables_are_not_used(content: bytes, text: str) -> None:
    assert tables.load(content, text, grammar.settings()) is None


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
