"""The comparison has teeth: any one fault in the graph of any recipe makes it fail."""

from __future__ import annotations

import pytest

from tests.numerics.comparison import Disagreement, compare
from tests.numerics.mutations import mutants
from tests.numerics.recipes import recipe_names
from tests.numerics.test_recipes import case


@pytest.mark.parametrize("name", recipe_names())
def test_every_fault_is_noticed(name: str) -> None:
    executable, expected, batch = case(name)
    survived: list[str] = []
    for what, mutant in mutants(executable):
        try:
            compare(mutant, expected, batch)
        except Disagreement:
            continue
        survived.append(what)
    assert survived == []
