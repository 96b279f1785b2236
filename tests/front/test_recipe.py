"""A recipe in Python is the recipe of the commands, and shows itself in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import pytest

import m3i_dsl as m3i
from m3i_dsl.cli.main import main
from m3i_dsl.front.notebook import cell, load_ipython_extension
from m3i_dsl.front.wrong_use import WrongUse
from m3i_dsl.source import MissingFile

RECIPES = Path(__file__).parents[2] / "recipes"
MAE = (RECIPES / "mae.m3i").read_text(encoding="utf-8")


def test_it_is_what_the_commands_print(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = m3i.read(RECIPES / "m3i.m3i")
    assert main(["resolve", str(RECIPES / "m3i.m3i")]) == 0
    assert capsys.readouterr().out == recipe.resolve()
    assert main(["graph", str(RECIPES / "m3i.m3i")]) == 0
    assert capsys.readouterr().out == recipe.graph().svg


def test_settings_are_those_of_set() -> None:
    recipe = m3i.read(RECIPES / "mae.m3i", {"epochs": 7, "size": "64px"})
    assert recipe.parameters["epochs"] == "7"
    assert recipe.parameters["size"] == "64px"
    with pytest.raises(m3i.RecipeError, match="M3I01"):
        m3i.read(RECIPES / "mae.m3i", {"no_such_parameter": 1})


def test_a_text_is_parsed_where_its_paths_start() -> None:
    assert m3i.parse(MAE, base=RECIPES).resolve() == m3i.read(RECIPES / "mae.m3i").resolve()
    with pytest.raises(m3i.RecipeError, match="M3I"):
        m3i.parse(MAE, base=RECIPES / "table")  # the files that it uses are not there


def test_every_error_is_in_the_exception() -> None:
    broken = MAE.replace("gaussian", "gausian").replace("random(75%)", "random(175%)")
    with pytest.raises(m3i.RecipeError) as caught:
        m3i.parse(broken, base=RECIPES)
    assert len({diagnostic.code for diagnostic in caught.value.diagnostics}) == 2


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(MissingFile):
        m3i.read(RECIPES / "maee.m3i")


def test_the_table_is_rows_of_mappings_and_html() -> None:
    table = m3i.read(RECIPES / "m3i.m3i").table()
    assert [row["row"] for row in table] == [row[0] for row in table.rows]
    assert table[0]["distribution form P^"] == table[:1][0]["distribution form P^"] == "gaussian"
    rows = ElementTree.fromstring(table._repr_html_()).findall("./tbody/tr")
    assert len(rows) == len(table) > 1
    assert len(repr(table).splitlines()) == len(table) + 1


def test_a_table_escapes_what_it_shows() -> None:
    html = m3i.Table(("<name>",), (("<script>",),))._repr_html_()
    assert "&lt;name&gt;" in html and "<script>" not in html


def test_the_picture_is_svg_and_is_saved(tmp_path: Path) -> None:
    recipe = m3i.read(RECIPES / "mae.m3i")
    path = recipe.graph().save(tmp_path / "mae.svg")
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert recipe._repr_svg_() == recipe.graph()._repr_svg_() == path.read_text(encoding="utf-8")


def test_a_cell_keeps_the_recipe_and_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(RECIPES)
    variables: dict[str, object] = {}
    recipe = cell(" row ", MAE, variables)
    assert recipe is not None and variables == {"row": recipe}
    assert cell("row", MAE.replace("gaussian", "gausian"), variables) is None
    assert "M3I0122" in capsys.readouterr().err
    assert variables == {"row": recipe}, "a recipe with errors replaces nothing"
    assert cell("not a name", MAE, variables) is None
    assert "is no name of a variable" in capsys.readouterr().err


def test_the_magic_is_registered() -> None:
    registered: dict[tuple[str, str], object] = {}

    class Shell:
        user_ns: ClassVar[dict[str, object]] = {}

        def register_magic_function(self, function: object, kind: str, name: str) -> None:
            registered[kind, name] = function

    load_ipython_extension(Shell())
    assert set(registered) == {("cell", "m3i")}


def test_stages_are_one_recipe() -> None:
    recipe = m3i.read(RECIPES.parent / "examples" / "stages.m3i")
    assert [program.stage for program in recipe.stages] == ["pixels", "labels", "distill"]
    assert recipe.graph("pixels").svg != recipe.graph().svg == recipe.graph("distill").svg
    assert len(recipe.table()) == sum(len(o.targets) for program in recipe.stages for o in program.objectives)
    with pytest.raises(WrongUse, match="did you mean `pixels`"):
        recipe.graph("pixel")
