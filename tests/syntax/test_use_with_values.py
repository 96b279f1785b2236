"""`use "recipe.m3i" (NAME: value)`: params of a used file with other values, and a recipe that is used as one."""

from __future__ import annotations

import pytest

from m3i_dsl.source import InMemory, SourceFile
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.load import Loaded, load_recipe
from m3i_dsl.syntax.printer import print_value

USED = {
    "data.m3i": "param size = 32px\nparam seed = 1\n",
    "small.m3i": """m3i 1
recipe small
use "data.m3i"
param batch = 8
train {
  batch batch
}
evaluate {
  linear at end
}
""",
}


def load(text: str) -> Loaded:
    return load_recipe(SourceFile("main.m3i", text), InMemory(USED))


def params(loaded: Loaded) -> dict[str, str]:
    return {d.name.text: print_value(d.value) for d in loaded.recipe.declarations if isinstance(d, ast.Param)}


def test_values_reach_the_file_and_those_that_it_uses() -> None:
    loaded = load('recipe large\nuse "small.m3i" (batch: 64, size: 224px)\n')
    assert not list(loaded.diagnostics)
    assert params(loaded) == {"size": "224px", "seed": "1", "batch": "64"}


def test_a_used_recipe_trains_and_is_measured_as_it_says_under_the_name_of_the_main_file() -> None:
    found = load('recipe large\nuse "small.m3i" (batch: 64)\n').recipe.declarations
    assert [d.name.text for d in found if isinstance(d, ast.RecipeName)] == ["large"]
    assert sum(isinstance(d, ast.Train) for d in found) == sum(isinstance(d, ast.Evaluate) for d in found) == 1


def test_what_the_main_file_says_itself_counts() -> None:
    own = 'recipe large\nuse "small.m3i" (batch: 64)\ntrain {\n  batch 2\n}\n'
    (train,) = (d for d in load(own).recipe.declarations if isinstance(d, ast.Train))
    assert train.span.file.name == "main.m3i"


@pytest.mark.parametrize(
    ("values", "code", "place"),
    [
        ("(bath: 64)", "M3I0129", "bath"),
        ("(batch: 64, batch: 32)", "M3I0125", "batch"),
        ("(64)", "M3I0201", "64"),
    ],
)
def test_a_value_that_leads_nowhere_is_an_error_at_its_place(values: str, code: str, place: str) -> None:
    (found,) = load(f'recipe large\nuse "small.m3i" {values}\n').diagnostics
    assert (found.code, found.primary.span.text) == (code, place)


def test_without_values_a_used_file_is_no_recipe() -> None:
    codes = [found.code for found in load('recipe large\nuse "small.m3i"\n').diagnostics]
    assert codes == ["M3I0104"] * 3
