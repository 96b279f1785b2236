"""`m3ic explain`: pages, lists, and codes that do not exist."""

from __future__ import annotations

import json

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.diagnostics import catalogue


@pytest.mark.parametrize("code", ["M3I0011", "m3i0011", "11", "missing-comma"])
def test_a_page_is_plain_markdown_off_a_terminal(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", code]) == 0
    captured = capsys.readouterr()
    assert captured.out == catalogue.page("M3I0011").markdown
    assert captured.err == ""


def test_a_page_is_rendered_in_colour(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "M3I0011", "--color", "always"]) == 0
    text = capsys.readouterr().out
    assert "\x1b[" in text
    assert "## " not in text and "What it means" in text


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "M3I0011", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert (page["code"], page["name"]) == ("M3I0011", "missing-comma")
    assert main(["explain", "--all", "--json"]) == 0
    pages = json.loads(capsys.readouterr().out)
    assert [page["code"] for page in pages] == list(catalogue.codes())


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(catalogue.codes())
    assert lines[0].startswith("M3I0001  unexpected-text: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["M3I00111"], "error: there is no code `M3I00111`; did you mean `M3I0011`?\n"),
        (["mising-comma"], "error: there is no code `mising-comma`; did you mean `missing-comma`?\n"),
        (["zzz"], "error: there is no code `zzz`; `m3ic explain --all` lists them\n"),
        ([], "error: name one code, or ask for `--all`\n"),
        (["M3I0011", "--all"], "error: name one code, or ask for `--all`\n"),
    ],
)
def test_wrong_use(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(said)
