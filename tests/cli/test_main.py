"""The frame of the command line: exit codes, streams, internal errors, colours."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from m3i_dsl.cli import explain, main
from m3i_dsl.cli.options import CliError, colored


def test_no_command_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([]) == 2
    assert "usage: m3ic" in capsys.readouterr().err


def test_an_unknown_command_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["chekc"]) == 2
    assert "chekc" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("m3ic 0.")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert [command for command in main.COMMANDS if command not in text] == []


@pytest.mark.parametrize("debug", [False, True])
def test_an_internal_error_asks_to_be_reported(
    debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: object) -> int:
        raise ZeroDivisionError("the cause")

    monkeypatch.setattr(explain, "run", fail)
    assert main.main(["explain", "M3I0001", *(["--debug"] if debug else [])]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error[M3I0901]: internal error, please report it: ZeroDivisionError: the cause" in captured.err
    assert ("Traceback" in captured.err) is debug


def test_an_interrupt_is_no_internal_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "run", interrupt)
    assert main.main(["explain", "M3I0001"]) == 130
    assert capsys.readouterr().err == ""


def test_wrong_use_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(arguments: object) -> int:
        raise CliError("the reason")

    monkeypatch.setattr(explain, "run", refuse)
    assert main.main(["explain", "M3I0001"]) == 2
    assert capsys.readouterr().err == "error: the reason\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """As in `m3ic explain --all | head -1`."""
    program = "import sys; from m3i_dsl.cli.main import main; sys.exit(main(['explain', '--all', '--json']))"
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("words", "environment", "terminal", "expected"),
    [
        ([], {}, True, True),
        ([], {}, False, False),
        ([], {"NO_COLOR": "1"}, True, False),
        ([], {"TERM": "dumb"}, True, False),
        (["--color", "always"], {"NO_COLOR": "1"}, False, True),
        (["--color", "never"], {}, True, False),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_when_to_colour(
    words: list[str],
    environment: dict[str, str],
    terminal: bool,
    expected: bool,
    before: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    seen: list[bool] = []

    def look(arguments: object) -> int:
        seen.append(colored(arguments, _Terminal() if terminal else io.StringIO()))  # type: ignore[arg-type]  # a namespace
        return 0

    monkeypatch.setattr(explain, "run", look)
    assert main.main([*words, "explain", "x"] if before else ["explain", "x", *words]) == 0
    assert seen == [expected]
