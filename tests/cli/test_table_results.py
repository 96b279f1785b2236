"""`m3ic table --results`: the paper's tables, with runs of this machine in columns of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.scaffold.references import references
from tests.numerics.recipes import ROOT

SINGLE = {
    "auto_encoder": (77.5, 0.0),
    "dense_distillation": (78.8, 32.4),
    "global_distillation": (77.1, 27.9),
    "mim_pixel": (83.1, 46.8),
    "mim_feature": (83.3, 47.4),
    "mim_global": (83.2, 47.5),
    "novel_view_synthesis": (78.8, 33.0),
    "dense_instance_discrimination": (83.2, 50.1),
    "instance_discrimination": (83.0, 46.4),
    "siamim_pixel": (78.9, 38.1),
    "siamim_feature": (83.7, 49.8),
    "siamim_global": (82.9, 46.2),
}
"""The twelve rows of the slides: ImageNet top-1 and COCO AP of boxes."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny auto-encoder, trained for two steps and measured."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        sizes = ("size=16px", "patch=4px", "width=24", "depth=1", "heads=2", "epochs=1")
        settings = [word for size in sizes for word in ("--set", size)]
        assert main(["compile", str(ROOT / "table" / "03_auto_encoder.m3i"), *settings]) == 0
        assert main(["train", "--device", "cpu", "--workers", "0", "--max-steps", "2"]) == 0
        trained = folder / "runs" / "auto_encoder-1"
        assert main(["eval", str(trained), "--limit", "60", "--device", "cpu"]) == 0
    return trained


def test_the_twelve_rows_are_those_of_the_slides() -> None:
    (single,) = [table for table in references() if table.name == "single objectives"]
    assert {recipe: tuple(row.numbers.values()) for row in single.rows for recipe in row.recipes} == SINGLE
    assert [row.row for row in single.rows] == list("abcdefghijkl")


def test_a_run_stands_beside_its_row_and_in_no_number_of_the_paper(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["table", "--results", str(run), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = [row for row in printed["rows"] if row["here"]]
    assert [(row["table"], row["row"], row["paper"]["numbers"]) for row in rows] == [
        ("single objectives", "a", {"ImageNet top-1": 77.5, "COCO AP box": 0.0})
    ]
    (here,) = rows[0]["here"]
    saved = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert here["results"]["knn"]["trained"]["value"] == saved["results"][0]["trained"]["value"]
    assert here["data"] == 'embedded(dataset: "digits"), 16px'
    assert here["length"].startswith("1 epochs, batch ")


def test_the_text_says_whose_a_number_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "--results", str(run)]) == 0
    printed = capsys.readouterr().out
    heads = [line for line in printed.splitlines() if line.strip().startswith("objective ")]
    assert "here: knn" in heads[0] and all("here:" not in line for line in heads[1:])
    (row,) = [line for line in printed.splitlines() if line.startswith("a ")]
    assert "77.5" in row and str(run) in row and "epochs, batch" in row
    assert "not to be compared" in printed.splitlines()[-1]
    assert main(["table", "--results", "--markdown"]) == 0
    assert "| k | SiamIM, features | 83.7 | 49.8 |" in capsys.readouterr().out


def test_what_is_no_measured_run_is_said(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "--results", str(tmp_path)]) == 1
    assert "M3I0707" in capsys.readouterr().err
    saved = (run / "results.json").read_text(encoding="utf-8")
    try:
        (run / "results.json").write_text(saved[:40], encoding="utf-8")
        assert main(["table", "--results", str(run)]) == 2
        assert "is damaged: run `m3ic eval" in capsys.readouterr().err
        (run / "results.json").unlink()
        assert main(["table", "--results", str(run)]) == 2
        assert "is not measured: run `m3ic eval" in capsys.readouterr().err
    finally:
        (run / "results.json").write_text(saved, encoding="utf-8")
    assert main(["table", str(ROOT / "mae.m3i"), "--results"]) == 2
    assert "leave the recipes out" in capsys.readouterr().err
    assert main(["table"]) == 2
    assert "name a recipe" in capsys.readouterr().err
