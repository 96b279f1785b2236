"""The specification says what the checker does: codes exist, its whole recipe is right, defaults are those in force."""

from __future__ import annotations

import re
from pathlib import Path

from m3i_dsl.diagnostics.catalogue import codes
from m3i_dsl.driver import check_file, resolve
from m3i_dsl.source import SourceFile

TEXT = (Path(__file__).parents[2] / "grammars" / "SPEC.md").read_text(encoding="utf-8")
SEMANTICS = TEXT.partition("# Part 2.")[2]
RECIPES = [
    block for block in re.findall(r"^```m3i\n(.*?)^```$", SEMANTICS, re.MULTILINE | re.DOTALL) if "\nrecipe " in block
]


def test_the_codes_that_the_specification_names_exist() -> None:
    named = set(re.findall(r"M3I\d{4}", SEMANTICS))
    assert len(named) > 30
    assert named <= set(codes())


def test_the_whole_recipe_of_the_specification_is_right() -> None:
    (recipe,) = RECIPES
    checked = check_file(SourceFile("SPEC.md", recipe))
    assert list(checked.diagnostics) == []


def test_the_tables_state_the_defaults_in_force() -> None:
    """Every setting of a table that may be left out has the value in the canonical text that the table says."""
    (recipe,) = RECIPES
    canonical = resolve(check_file(SourceFile("SPEC.md", recipe)).required())
    rows = re.findall(r"^\| `(\w+)` \| .* \| `([^`]+)` \|$", SEMANTICS, re.MULTILINE)
    assert {keyword for keyword, _ in rows} == {"weighting", "symmetric", "weight", "schedule", "precision", "seed"}
    for keyword, value in rows:
        assert re.search(rf"^ *{keyword} +{value}\b", canonical, re.MULTILINE), keyword
