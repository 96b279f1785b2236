"""What is offered at the cursor, also where the text does not parse."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3i_dsl.lsp.completion import completions
from m3i_dsl.lsp.recipes import Analysis, Recipes
from m3i_dsl.vocabulary.registry import words
from tests.lsp.document import MAIN, RECIPE, opened


def offered(marked: str, text: str = RECIPE) -> list[str]:
    """The labels at `^` of a statement that stands where `# here` would: behind `text`, or in a block of it."""
    return [item.label for item in completions(*_at(marked, text)).items]


def _at(marked: str, text: str) -> tuple[Analysis, int]:
    whole = text + marked if "# here" not in text else text.replace("# here", marked)
    offset = whole.index("^")
    return opened(whole.replace("^", "", 1)).analysis(MAIN), offset


OBJECTIVE = RECIPE.replace("  input     view1\n", "  input     view1\n  # here\n")
TARGET = RECIPE.replace("    data           view2\n", "    data           view2\n    # here\n")
TRAIN = RECIPE.replace("  batch     64\n", "  batch     64\n  # here\n")


def test_declarations_start_a_statement() -> None:
    assert {"param", "data", "view", "encoder", "objective", "train", "evaluate", "stage"} <= set(offered("^"))
    assert {"objective", "train", "evaluate"} == set(offered("stage one {\n  ^"))


def test_settings_start_a_statement_of_a_block() -> None:
    assert {"represent", "weighting", "symmetric", "target"} <= set(offered("^", OBJECTIVE))
    assert {"predictor", "distribution", "weight"} <= set(offered("^", TARGET))
    assert {"optimizer", "precision", "clip"} <= set(offered("^", TRAIN))


@pytest.mark.parametrize(
    ("marked", "text", "kind"),
    [
        ("data more = ^", RECIPE, "source"),
        ("view view3 of digits.image = ^", RECIPE, "transform"),
        ("view view3 of digits.image = crop(16px) | ^", RECIPE, "transform"),
        ("view view3 of digits.image = crop(16px) | fl^", RECIPE, "transform"),
        ("encoder other = ^", RECIPE, "encoder"),
        ("weighting ^", OBJECTIVE, "weighting"),
        ("predictor ^", TARGET, "predictor"),
        ("regularization ^", TARGET, "regularization"),
        ("regularization stop gradient + ^", TARGET, "regularization"),
        ("distribution ^", TARGET, "distribution"),
        ("optimizer ^", TRAIN, "optimizer"),
        ("input masked view1 by ^", OBJECTIVE, "mask"),
        ("evaluate {\n  ^", RECIPE, "evaluator"),
    ],
)
def test_words_of_the_kind_that_may_stand_there(marked: str, text: str, kind: str) -> None:
    assert set(words(kind)) <= set(offered(marked, text))  # type: ignore[arg-type]  # a kind, as parametrized


def test_a_name_of_several_words_goes_on() -> None:
    assert "feature" in offered("representation dense ^", TARGET)
    assert "linear" not in offered("representation dense ^", TARGET)


@pytest.mark.parametrize(
    ("marked", "text", "names"),
    [
        ("view view3 of ^", RECIPE, {"digits"}),
        ("encoder other = ema of ^", RECIPE, {"image", "momentum"}),
        ("representation dense feature of ^", TARGET, {"image", "momentum"}),
        ("input ^", OBJECTIVE, {"view1", "view2", "masked", "mix"}),
        ("input masked ^", OBJECTIVE, {"view1", "view2"}),
        ("data ^", TARGET, {"view1", "view2", "digits"}),
    ],
)
def test_names_of_the_kind_that_is_read_there(marked: str, text: str, names: set[str]) -> None:
    found = set(offered(marked, text))
    assert names <= found
    assert not {"image", "momentum", "view1", "digits"} - names & found - {"epochs", "size"}


def test_fields_of_the_data() -> None:
    assert {"image", "category", "text"} >= set(offered("view view3 of digits.^")) >= {"image"}


def test_arguments_that_are_not_given_yet() -> None:
    found = offered("predictor decoder(layers: 2, ^", TARGET)
    assert {"width", "heads"} <= set(found) and "layers" not in found
    assert "temperature" in offered("evaluate {\n  knn(^")
    assert {"scale"} <= set(offered("view view3 of digits.image = flip | crop(16px, ^"))


def test_required_arguments_come_first() -> None:
    items = completions(*_at("optimizer adamw(^", TRAIN)).items
    first = min(items, key=lambda item: item.sort_text or "")
    assert first.label == "lr" and "required" in (first.detail or "")


def test_values_of_an_argument() -> None:
    assert {"mean", "class"} <= set(offered("representation global feature(pool: ^", TARGET))
    assert {"true", "false"} <= set(offered("distribution boltzmann(symmetric: ^", TARGET))
    assert set(words("mask")) <= set(offered("input mix(view1 of first, view2 of second, by: ^", OBJECTIVE)) | set(
        offered("input masked view1 by ^", OBJECTIVE)
    )
    assert {"epochs", "size"} <= set(offered("predictor mlp(width: ^", TARGET))


def test_models_of_timm_by_a_part_of_their_name() -> None:
    found = offered('encoder other = timm("resnet1^')
    assert "resnet18" in found and all("resnet1" in name for name in found)
    assert completions(*_at('encoder other = timm("^', RECIPE)).is_incomplete


def test_files_to_use(tmp_path: Path) -> None:
    (tmp_path / "parts.m3i").write_text("m3i 1\n")
    (tmp_path / "folder").mkdir()
    recipes = Recipes()
    text = 'm3i 1\nuse "'
    recipes.put(str(tmp_path / "main.m3i"), text)
    found = completions(recipes.analysis(str(tmp_path / "main.m3i")), len(text)).items
    assert [item.label for item in found] == ["folder/", "parts.m3i"]


@pytest.mark.parametrize("marked", ["# a comm^", "param ^", "recipe na^", 'data d = embedded("dig^', "param x = 3^"])
def test_nothing_where_nothing_is_known(marked: str) -> None:
    assert offered(marked) == []
