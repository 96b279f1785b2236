"""Which recipes may be accumulated: read off the recipes of the project."""

from pathlib import Path

import pytest

from m3i_dsl.driver import check_file
from m3i_dsl.runtime.coupled import batch_coupled
from m3i_dsl.source import read_file

RECIPES = Path(__file__).parents[2] / "recipes"


def coupled(name: str) -> dict[str, int]:
    """Description -> line."""
    program = check_file(read_file(RECIPES / f"{name}.m3i")).required()
    return {description: span.line for description, span in batch_coupled(program)}


@pytest.mark.parametrize("name", ["mae", "simmim", "data2vec", "supervised"])
def test_recipes_of_independent_samples(name: str) -> None:
    assert coupled(name) == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clip", "`negative texts` compares each sample with the others of the batch"),
        ("moco_v3", "`negative samples` compares each sample with the others of the batch"),
        ("barlow_twins", "`decorrelation` needs statistics of the batch"),
        ("byol", "normalises over the batch"),
        ("dino", "`centering` needs statistics of the batch"),
    ],
)
def test_recipes_that_couple_the_batch_say_by_what_and_where(name: str, said: str) -> None:
    found = coupled(name)
    matching = [line for description, line in found.items() if said in description]
    assert matching and all(line > 1 for line in matching), found
