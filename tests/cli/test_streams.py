"""What reaches standard output and standard error, and what is said when it does not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from m3i_dsl.cli import explain
from m3i_dsl.cli.main import main
from m3i_dsl.cli.streams import colours_of, printed_streams, verbatim

HOSTILE = "dog\x1b[31mred\x1b]0;title\x07\x9b2J\u202etxt\udcff"
SHOWN = "dog\\x1b[31mred\\x1b]0;title\\x07\\x9b2J\\u202etxt\\xff"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_no_name_steers_a_terminal(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = stream(), stream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with printed_streams():
        print(HOSTILE)
        print(HOSTILE, file=sys.stderr)
    assert (out.getvalue(), err.getvalue()) == (f"{SHOWN}\n", f"{SHOWN}\n")


def test_a_recipe_in_a_pipe_keeps_every_character(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, terminal = io.StringIO(), Terminal()
    for stream in (pipe, terminal):
        monkeypatch.setattr(sys, "stdout", stream)
        with printed_streams():
            verbatim("a\x1bb\n")
    assert (pipe.getvalue(), terminal.getvalue()) == ("a\x1bb\n", "a\\x1bb\n")


def test_colours_pass_where_they_are_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    with printed_streams():
        colours_of(sys.stdout).write("\x1b[1mbold\x1b[0m \x1b]0;title\x07\n")
        Console(force_terminal=True, color_system="standard").print("[red]r[/red] \x1b]0;t\x07", highlight=False)
    assert out.getvalue() == "\x1b[1mbold\x1b[0m \\x1b]0;title\\x07\n\x1b[31mr\x1b[0m \\x1b]0;t\n"


@pytest.mark.parametrize("format", ["full", "concise"])
def test_a_coloured_diagnostic_holds_no_other_sequence(
    format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a\x1b]0;t\x07.m3i"
    path.write_text("m3i 1\nrecipe a\nobjective \x1b]0;t\x07 {\n}\n", encoding="utf-8")
    main(["check", str(path), "--color", "always", "--output-format", format])
    said = capsys.readouterr()
    assert "\x1b[" in said.out
    assert "\x07" not in said.out + said.err
    assert "\x1b]" not in said.out + said.err


def ended(redirection: str, arguments: str = "explain --all") -> tuple[int, str]:
    """Exit code and standard error of a command in a shell."""
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m m3i_dsl.cli.main {arguments} {redirection}"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", ["explain --all", "--help"])
def test_a_full_standard_output_is_said(arguments: str) -> None:
    code, said = ended(">/dev/full", arguments)
    assert (code, said) == (2, "error: standard output cannot be written: No space left on device\n")


def test_a_closed_standard_output_is_said() -> None:
    code, said = ended(">&-")
    assert (code, said) == (2, "error: standard output is closed: what was asked for is not written\n")


def test_a_closed_standard_input_is_said() -> None:
    code, said = ended("<&-", "check -")
    assert (code, said) == (2, "error: standard input cannot be read: it is closed\n")


def test_an_encoding_without_the_letter_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "run", lambda arguments: print("\u03c0") or 0)
    narrow, said = io.TextIOWrapper(io.BytesIO(), encoding="ascii"), io.StringIO()
    monkeypatch.setattr(sys, "stdout", narrow)
    monkeypatch.setattr(sys, "stderr", said)
    assert main(["explain", "M3I0001"]) == 2
    assert said.getvalue() == (
        "error: standard output is in ascii, which does not have `\\u03c0`; set PYTHONIOENCODING=utf-8\n"
    )


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_standard_error_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def speak(arguments: object) -> int:
        print("a remark", file=sys.stderr)
        print("the result")
        return 0

    out = io.StringIO()
    monkeypatch.setattr(explain, "run", speak)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", Full())
    assert main(["explain", "M3I0001"]) == 0
    assert out.getvalue() == "the result\n"
