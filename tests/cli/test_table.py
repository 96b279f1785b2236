"""`m3ic table` prints the paper's instantiation table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.semantics.table import ROWS

ROOT = Path(__file__).parents[2]

PAPER = """\
|  | input data x | target data y | input representation z_x | target representation z_y | regularization H(p(z_y|t_y)) | distribution form P^ |
| --- | --- | --- | --- | --- | --- | --- |
| image_classification | view1 | category | dense feature | category embedding | negative categories | boltzmann |
| clip | view1 | text | dense feature | text embedding | negative texts | boltzmann |
| auto_encoder | view1 | view1 | dense feature | dense pixels | - | gaussian |
| dense_distillation | view1 | view1 | dense feature | dense feature | stop gradient | gaussian |
| global_distillation | view1 | view1 | dense feature | global feature | stop gradient | boltzmann |
| mim_pixel | masked view1 | view1 | dense feature | dense pixels | - | gaussian |
| mim_feature | masked view1 | view1 | dense feature | dense feature | stop gradient | gaussian |
| mim_global | masked view1 | view1 | dense feature | global feature | stop gradient | gaussian |
| novel_view_synthesis | view2 | view1 | dense feature | dense pixels | - | gaussian |
| dense_instance_discrimination | view2 | view1 | dense feature | dense feature | negative samples | boltzmann |
| instance_discrimination | view2 | view1 | dense feature | global feature | negative samples | boltzmann |
| siamim_pixel | masked view2 | view1 | dense feature | dense pixels | - | gaussian |
| siamim_feature | masked view2 | view1 | dense feature | dense feature | stop gradient | gaussian |
| siamim_global | masked view2 | view1 | dense feature | global feature | negative samples | boltzmann |
"""  # noqa: E501  # the table as it is printed


def test_the_fourteen_rows(capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(path) for path in sorted((ROOT / "recipes/table").glob("*.m3i"))]
    assert main(["table", "--markdown", *paths]) == 0
    assert capsys.readouterr().out == PAPER


def test_the_rows_that_the_checker_knows_are_the_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "--json", str(ROOT / "recipes/table")]) == 0
    printed = [tuple(record.values()) for record in json.loads(capsys.readouterr().out)]
    assert printed == [(name, *row.cells()) for name, row in ROWS]


def test_m3i_has_three_rows_of_a_mix(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "--json", str(ROOT / "recipes/m3i.m3i")]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["target data y"] for row in rows] == [
        "view1 of first",
        "view2 of second",
        "category of first, category of second",
    ]
    assert {row["input data x"] for row in rows} == {"mix(masked view1, masked view1)"}


def test_a_recipe_with_errors_is_reported_and_the_others_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.m3i").write_text("m3i 1\nrecipe bad\n", encoding="utf-8")
    assert main(["table", "--markdown", str(tmp_path / "bad.m3i"), str(ROOT / "recipes/mae.m3i")]) == 1
    captured = capsys.readouterr()
    assert "| mae | masked view1 | view1 |" in captured.out
    assert "error[" in captured.err
