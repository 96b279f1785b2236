"""`m3ic graph`: formats, exit codes, and what goes to which stream; the pictures of the documentation."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from m3i_dsl.cli.graph import FORMATS as OFFERED
from m3i_dsl.cli.main import main
from m3i_dsl.drawing import EXTENSIONS, FORMATS
from tests.drawing.programs import NAMES, ROOT

MAE = str(ROOT / "recipes/mae.m3i")


def test_the_command_offers_the_formats_that_there_are() -> None:
    assert list(OFFERED) == list(FORMATS)
    assert set(EXTENSIONS.values()) == set(FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_drawn_in_every_format(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for extension in (".svg", ".mmd", ".gv", ".json"):
        path = tmp_path / f"picture{extension}"
        assert main(["graph", str(ROOT / name), "-o", str(path)]) == 0
        assert main(["graph", str(ROOT / name), "--format", EXTENSIONS[extension]]) == 0
        captured = capsys.readouterr()
        assert captured.out == path.read_text(encoding="utf-8")
        assert "error" not in captured.err


def test_svg_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", MAE]) == 0
    assert capsys.readouterr().out.startswith("<svg ")


def test_the_format_that_is_asked_for_wins(tmp_path: Path) -> None:
    assert main(["graph", MAE, "--format", "dot", "-o", str(tmp_path / "mae.txt")]) == 0
    assert (tmp_path / "mae.txt").read_text(encoding="utf-8").startswith('digraph "mae" {')


def test_an_unknown_extension_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", MAE, "-o", str(tmp_path / "mae.png")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert all(extension in captured.err for extension in EXTENSIONS)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", MAE, "--format", "png"]) == 2
    assert "svg" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", MAE, "-o", str(tmp_path / "no" / "mae.svg")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_recipe_with_errors_is_reported_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.m3i"
    bad.write_text("m3i 1\nrecipe bad\n", encoding="utf-8")
    assert main(["graph", str(bad), "-o", str(tmp_path / "bad.svg")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error[" in captured.err
    assert not (tmp_path / "bad.svg").exists()


def test_settings_change_the_picture(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", MAE, "--set", "width=48", "--format", "json"]) == 0
    assert "48 wide" in capsys.readouterr().out


def test_data_that_is_not_there_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = 'source=parquet("nowhere/train.parquet", category: "label", test: "nowhere/test.parquet")'
    assert main(["graph", MAE, "--set", source, "--format", "json"]) == 0
    assert '"train.parquet"' in capsys.readouterr().out


def test_standard_input_is_drawn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT / "recipes")
    monkeypatch.setattr(sys, "stdin", io.StringIO(Path(MAE).read_text(encoding="utf-8")))
    assert main(["graph", "-", "--stdin-filename", "mae.m3i", "--format", "dot"]) == 0
    assert capsys.readouterr().out.startswith('digraph "mae"')


def test_bytes_do_not_depend_on_hashing() -> None:
    command = [sys.executable, "-m", "m3i_dsl.cli.main", "graph", "recipes/m3i.m3i"]
    outputs = {
        subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_the_picture_in_the_readme_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """`make pictures` draws it again."""
    assert "docs/m3i.svg" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert main(["graph", str(ROOT / "recipes/m3i.m3i")]) == 0
    assert (ROOT / "docs/m3i.svg").read_text(encoding="utf-8") == capsys.readouterr().out
