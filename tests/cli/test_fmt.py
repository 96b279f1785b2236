"""`m3ic fmt`: what it writes, prints, and returns."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main

MESSY = "train {seed   0}\n"
NEAT = "train {\n  seed 0\n}\n"
BROKEN = "param a 1\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner").mkdir()
    (tmp_path / "messy.m3i").write_text(MESSY, encoding="utf-8")
    (tmp_path / "inner" / "neat.m3i").write_text(NEAT, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a recipe", encoding="utf-8")
    return tmp_path


def test_it_rewrites_and_prints_what_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "messy.m3i").chmod(0o640)
    assert main(["fmt", "."]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("messy.m3i\n", "")
    assert (folder / "messy.m3i").read_text(encoding="utf-8") == NEAT
    assert (folder / "messy.m3i").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in folder.iterdir()) == ["inner", "messy.m3i", "notes.txt"]
    assert main(["fmt", "."]) == 0
    assert capsys.readouterr().out == ""


def test_check_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "--check", "."]) == 1
    assert capsys.readouterr().out == "messy.m3i\n"
    assert (folder / "messy.m3i").read_text(encoding="utf-8") == MESSY
    assert main(["fmt", "--check", "inner"]) == 0


def test_diff_shows_what_would_change(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "--diff", "messy.m3i", "inner/neat.m3i"]) == 1
    assert capsys.readouterr().out == (
        "--- messy.m3i\n+++ messy.m3i (formatted)\n@@ -1 +1,3 @@\n-train {seed   0}\n+train {\n+  seed 0\n+}\n"
    )
    assert (folder / "messy.m3i").read_text(encoding="utf-8") == MESSY


def test_diff_of_a_text_without_a_last_newline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "open.m3i").write_text("param a = 1", encoding="utf-8")
    assert main(["fmt", "--diff", "open.m3i"]) == 1
    assert "-param a = 1\n\\ No newline at end of file\n+param a = 1\n" in capsys.readouterr().out


def test_a_fault_leaves_its_file_and_formats_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.m3i").write_text(BROKEN, encoding="utf-8")
    assert main(["fmt", "--output-format", "concise", "."]) == 2
    captured = capsys.readouterr()
    assert captured.out == "messy.m3i\n"
    assert captured.err == "broken.m3i:1:9: error[M3I0015] `param` needs a `=` after its name, found `1`\n"
    assert (folder / "broken.m3i").read_text(encoding="utf-8") == BROKEN


def test_standard_input_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(MESSY))
    assert main(["fmt", "-"]) == 0
    assert capsys.readouterr().out == NEAT
    monkeypatch.setattr("sys.stdin", io.StringIO(BROKEN))
    assert main(["fmt", "-", "--stdin-filename", "named.m3i"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--> named.m3i:1:9" in captured.err


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("mesy.m3i", "error: there is no file `mesy.m3i`; did you mean `messy.m3i`?\n"),
        ("nothing/x.m3i", "error: there is no file `nothing/x.m3i`\n"),
        ("latin.m3i", "error: `latin.m3i` cannot be read: byte 0 is not UTF-8\n"),
        ("empty", "error: there is no `.m3i` file in `empty`\n"),
    ],
)
def test_what_cannot_be_read(path: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "latin.m3i").write_bytes(b"\xe9")
    (folder / "empty").mkdir()
    assert main(["fmt", path]) == 2
    assert capsys.readouterr().err == said


def test_check_and_diff_exclude_each_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "--check", "--diff", "."]) == 2
    assert "not allowed with" in capsys.readouterr().err
