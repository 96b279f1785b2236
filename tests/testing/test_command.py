"""`m3ic test`: the table, the JSON, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.testing import PROPERTIES, Case, Failed, Property, run
from tests.numerics.recipes import ROOT

MAE = str(ROOT / "mae.m3i")


def test_a_table_of_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", MAE, "--only", "leak,finite"]) == 0
    written = capsys.readouterr()
    lines = [line.split() for line in written.out.splitlines()]
    assert [line[:2] for line in lines] == [["property", "result"], ["finite", "passed"], ["leak", "passed"]]
    assert written.err == "2 passed\n"


def test_json_has_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(ROOT / "clip.m3i"), "--only", "leak,accumulation", "--json", "--seed", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["recipe"], told["seed"]) == ("clip", 3)
    leak, accumulation = told["properties"]
    assert (leak["name"], leak["status"], leak["line"]) == ("leak", "not applicable", None)
    line = next(n for n, text in enumerate((ROOT / "clip.m3i").read_text().splitlines(), 1) if "negative texts" in text)
    assert (accumulation["status"], accumulation["line"]) == ("not applicable", line)
    assert accumulation["file"].endswith("clip.m3i")


def test_a_property_that_fails_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(case: Case) -> str:
        raise Failed("it does not hold", case.program.objectives[0].targets[0].span)

    monkeypatch.setattr(run, "PROPERTIES", (Property("own", "of one's own", check),))
    assert main(["test", MAE, "--only", "own"]) == 1
    written = capsys.readouterr()
    assert "it does not hold" in written.out and "mae.m3i:" in written.out
    assert written.err == "1 failed\n"


def test_settings_reach_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", MAE, "--only", "finite", "--set", "depth=12"]) == 0
    assert main(["test", MAE, "--only", "finite", "--set", "depth=wrong"]) == 1
    assert "error" in capsys.readouterr().err


def test_a_recipe_with_errors_is_not_tested(capsys: pytest.CaptureFixture[str]) -> None:
    fault = Path(__file__).parents[2] / "examples" / "faults" / "collapse.m3i"
    assert main(["test", str(fault)]) == 1
    written = capsys.readouterr()
    assert written.out == "" and "M3I0301" in written.err


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", MAE, "--only", "leek"]) == 2
    assert "did you mean `leak`?" in capsys.readouterr().err
    everything = ",".join(tested.name for tested in PROPERTIES)
    assert main(["test", MAE, "--skip", everything]) == 2
    assert "no property is left" in capsys.readouterr().err
    assert main(["test", "nowhere.m3i"]) == 2
