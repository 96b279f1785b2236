"""`m3ic check`: diagnostics on standard output, the count on standard error, and the exit code.

Faults of syntax are enough here; what else the checker knows has tests of its own.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text, encoding="utf-8")


def test_faults_are_the_product(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(folder / "a.m3i", "recipe a\nparam a 1\n")
    assert main(["check", "a.m3i", "--output-format", "concise"]) == 1
    captured = capsys.readouterr()
    assert "a.m3i:2:9: error[M3I0015] `param` needs a `=` after its name, found `1`\n" in captured.out
    assert captured.err.startswith("checked 1 file: ")
    assert "error" in captured.err


def test_a_folder_and_its_parts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file without a `recipe` is a part of others: only its syntax is checked on its own."""
    _write(folder / "recipes" / "a.m3i", 'recipe a\nuse "parts/views.m3i"\n')
    _write(folder / "recipes" / "parts" / "views.m3i", "param size = 32px\nparam b 2\n")
    _write(folder / "recipes" / "parts" / "unused.m3i", "param c = 1\n")
    assert main(["check", "recipes", "--output-format", "json"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)["diagnostics"]
    syntax = [(d["code"], d["file"]) for d in found if d["code"].startswith("M3I00")]
    assert syntax.count(("M3I0015", "recipes/parts/views.m3i")) >= 1
    assert [d for d in found if d["file"].endswith("unused.m3i")] == []
    assert captured.err.startswith("checked 3 files: ")


def test_standard_input_has_a_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("param a 1\n"))
    assert main(["check", "-", "--stdin-filename", "editor.m3i"]) == 1
    assert "--> editor.m3i:1:9\n" in capsys.readouterr().out


def test_a_setting_that_does_not_parse(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(folder / "a.m3i", "recipe a\nparam size = 32px\n")
    assert main(["check", "a.m3i", "--set", "size=32 px"]) == 1
    captured = capsys.readouterr()
    assert "error[M3I0021]: the unit `px` stands apart from its number\n  --> <--set size>:1:1\n" in captured.out


@pytest.mark.parametrize("setting", ["size", "=3", "a b=3"])
def test_a_setting_without_its_form(setting: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "a.m3i", "--set", setting]) == 2
    assert f"`{setting}` is not NAME=VALUE" in capsys.readouterr().err


def test_a_file_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "a.m3i"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: there is no file `a.m3i`\n")


def test_a_file_that_is_no_text_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.m3i").write_bytes("m3i 1".encode("utf-16"))
    (tmp_path / "b.m3i").write_text("m3i 1\nrecipe b\nobjectve x {\n}\n", encoding="utf-8")
    (tmp_path / "c.m3i").mkdir()
    assert main(["check", str(tmp_path), "--output-format", "concise"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[1] for line in lines] == ["error[M3I0103]", "error[M3I0007]", "error[M3I0103]"]
