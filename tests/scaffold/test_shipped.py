"""`m3ic init`: recipes that come with m3ic, copied with what they use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.driver import check_file
from m3i_dsl.scaffold import shipped
from m3i_dsl.source import read_file


def test_the_list_names_recipes_and_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--json"]) == 0
    listed = {recipe["name"]: recipe["source"] for recipe in json.loads(capsys.readouterr().out)}
    assert listed["mae"].startswith("MAE, He et al. 2022")
    assert "table/02_clip" in listed
    assert not {"data", "encoders"} & set(listed), "parts of recipes are none"
    assert all(listed.values())


def test_a_recipe_comes_with_what_it_uses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "table/02_clip", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr()
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.m3i"))
    assert written == ["data.m3i", "encoders.m3i", "table/02_clip.m3i"]
    assert sorted(said.out.splitlines()) == sorted(str(tmp_path / name) for name in written)
    assert f"m3ic compile {tmp_path}/table/02_clip.m3i && m3ic train" in said.err
    check_file(read_file(tmp_path / "table" / "02_clip.m3i")).required()


def test_recipes_share_what_they_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "mae", "-o", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["init", "clip", "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'clip.m3i'}\n"
    assert main(["init", "clip", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "are there already" in said.err


def test_what_is_there_and_differs_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.m3i").write_text("mine")
    assert main(["init", "mae", "-o", str(tmp_path)]) == 2
    assert "data.m3i` is there and differs" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["data.m3i"], "nothing is written by halves"
    assert (tmp_path / "data.m3i").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mea"], "there is no recipe `mea`; did you mean `mae`?"),
        (["nothing-like-it"], "there is no recipe `nothing-like-it` (`m3ic init` lists them)"),
        (["-o", "somewhere"], "name the recipe to write"),
    ],
)
def test_wrong_use_is_answered(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["init", "mae", "-o", str(tmp_path / "file" / "below")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_every_recipe_copies_to_itself(tmp_path: Path) -> None:
    for recipe in shipped.shipped():
        texts = shipped.texts(recipe)
        assert next(iter(texts)).with_suffix("").as_posix() == recipe.name
        shipped.write(texts, tmp_path)
