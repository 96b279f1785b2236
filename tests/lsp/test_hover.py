"""What is said of the thing under the pointer."""

from __future__ import annotations

import pytest

from m3i_dsl.lsp.hover import hover
from tests.lsp.document import MAIN, PARTS, RECIPE, USED, opened


def said(behind: str, text: str = RECIPE) -> str:
    """Over the last character of `behind`, where it first stands in the text."""
    found = hover(opened(text).analysis(MAIN), text.index(behind) + len(behind) - 1)
    return "" if found is None else found[0]


def test_a_name_shows_its_declaration() -> None:
    assert "encoder momentum = ema of image(0.99 -> 1 cosine)" in said("global feature of mom")
    assert "view view1 of digits.image" in said("input     vi")


def test_a_name_of_a_used_file_says_which() -> None:
    text = said("crop(si")
    assert "param size = 32px" in text and USED in text


def test_a_word_shows_its_doc_and_where_its_values_are_from() -> None:
    text = said("knn", RECIPE + "\nevaluate {\n  knn at end\n}\n")
    assert "nearest-neighbour" in text
    assert "- `k: 20`, default, DINO" in text


def test_a_value_of_a_param_says_so() -> None:
    assert "- `image: 32px`, from `param size`" in said("tim")


@pytest.mark.parametrize("behind", ["mlp(lay", "mlp(layers: 2"])
def test_an_argument_shows_its_type_and_doc(behind: str) -> None:
    text = said(behind)
    assert text.startswith("`2`") and "**layers** of mlp" in text


def test_a_text_with_a_fault_still_says_what_it_knows() -> None:
    broken = RECIPE.replace("batch     64", "batch     (")
    assert "encoder momentum" in said("global feature of mom", broken)


def test_nothing_is_said_of_nothing() -> None:
    assert said("m3i") == ""


def test_a_part_knows_its_own_names() -> None:
    found = hover(opened().analysis(USED), PARTS.index("embed") + 2)
    assert found is not None and "1,797" in found[0]
