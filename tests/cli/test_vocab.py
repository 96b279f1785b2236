"""`m3ic vocab` finds a word with and without its kind."""

from __future__ import annotations

import json

import pytest

from m3i_dsl.cli.main import main


def test_a_word_without_its_kind_is_shown_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vocab", "parquet"]) == 0
    alone = capsys.readouterr().out
    assert main(["vocab", "source", "parquet"]) == 0
    assert capsys.readouterr().out == alone
    assert "image: a string" in alone


def test_a_name_of_several_kinds_and_of_several_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vocab", "linear", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["predictor", "schedule", "evaluator"]
    assert main(["vocab", "dense", "pixels", "--json"]) == 0
    ((found,),) = json.loads(capsys.readouterr().out).values()
    assert (found["name"], found["package"]) == ("dense pixels", None)


@pytest.mark.parametrize(
    ("given", "hint"), [("parqet", "`parquet`"), ("masc", "`mask`"), ("xyzzy", "kinds are source")]
)
def test_neither_kind_nor_word(given: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vocab", given]) == 2
    shown = capsys.readouterr().err
    assert f"no kind of word and no word `{given}`" in shown and hint in shown
