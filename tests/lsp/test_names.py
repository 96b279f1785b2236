"""Definitions, references and renames, in a recipe and in the file that it uses."""

from __future__ import annotations

import pytest

from m3i_dsl.driver import check_file, resolve
from m3i_dsl.lsp import names
from m3i_dsl.lsp.recipes import Recipes
from m3i_dsl.source import InMemory, SourceFile
from m3i_dsl.syntax.format import format_text
from tests.lsp.document import MAIN, PARTS, RECIPE, USED, opened


def _ask(recipes: Recipes, path: str, behind: str) -> tuple[list[object], str, int]:
    return list(recipes.users_of(path)), path, recipes.texts[path].index(behind) + len(behind) - 1


def test_a_definition_is_found_across_files() -> None:
    span = names.definition(*_ask(opened(), MAIN, "crop(si"))  # type: ignore[arg-type]
    assert span is not None
    assert (span.file.name, span.line, span.text) == (USED, 3, "size")


@pytest.mark.parametrize(("path", "behind"), [(MAIN, "crop(si"), (USED, "param si")])
def test_references_are_the_same_from_everywhere(path: str, behind: str) -> None:
    spans = names.references(*_ask(opened(), path, behind))  # type: ignore[arg-type]
    assert [(span.file.name, span.line) for span in spans] == [(USED, 3), (MAIN, 8), (MAIN, 9), (MAIN, 11)]
    assert {span.text for span in spans} == {"size"}


def test_names_of_different_kinds_are_different() -> None:
    recipes = opened(RECIPE.replace("view1", "image"))
    assert len(names.references(*_ask(recipes, MAIN, "encoder im"))) == 3  # type: ignore[arg-type]
    assert len(names.references(*_ask(recipes, MAIN, "view im"))) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "behind"),
    [(MAIN, "crop(si"), (MAIN, "view vi"), (MAIN, "encoder mom"), (USED, "data dig"), (MAIN, "param ep")],
)
def test_a_renamed_recipe_is_the_same_recipe(path: str, behind: str) -> None:
    recipes = opened()
    before = check_file(SourceFile(MAIN, RECIPE), reader=InMemory(recipes.texts)).required()
    texts = dict(recipes.texts)
    spans = names.renamed(*_ask(recipes, path, behind), "another")  # type: ignore[arg-type]
    assert len(spans) >= 2
    for span in sorted(spans, key=lambda span: -span.start):
        name = span.file.name
        texts[name] = texts[name][: span.start] + "another" + texts[name][span.end :]
    after = check_file(SourceFile(MAIN, texts[MAIN]), reader=InMemory(texts)).required()
    old = spans[0].text
    assert format_text(SourceFile(MAIN, resolve(after).replace("another", old))) == resolve(before)


@pytest.mark.parametrize(
    ("behind", "new", "why"),
    [
        ("view view", "view2", "there is a view `view2` already"),
        ("view view", "2nd", "`2nd` is no name"),
        ("view view", "", "`` is no name"),
        ("recipe sm", "other", "no name of the recipe here"),
    ],
)
def test_a_rename_that_cannot_be_is_refused(behind: str, new: str, why: str) -> None:
    with pytest.raises(names.Refused, match=why):
        names.renamed(*_ask(opened(), MAIN, behind), new)  # type: ignore[arg-type]


def test_the_used_file_is_the_open_text() -> None:
    recipes = opened(parts=PARTS.replace("size", "side"))
    assert any("`size`" in d.message or "size" in d.message for d in recipes.analysis(MAIN).diagnostics)
    recipes.put(USED, PARTS)
    assert list(recipes.analysis(MAIN).diagnostics) == list(
        check_file(SourceFile(MAIN, RECIPE), reader=InMemory(recipes.texts)).diagnostics
    )
