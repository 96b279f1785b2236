"""What a workflow, code scanning and pre-commit read: `--output-format github` and `sarif`, the hooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from m3i_dsl.cli.main import main
from m3i_dsl.diagnostics import Fix, error, render
from m3i_dsl.source import SourceFile, Span

ROOT = Path(__file__).parents[2]
FILE = SourceFile("a, b:1.m3i", "recipe x\n\U0001f600 bad\n")
BAD = Span(FILE, FILE.text.index("bad"), FILE.text.index("bad") + 3)


def test_github_escapes_what_would_end_a_command() -> None:
    text = render([error("M3I0011", "100% `a`\n::error::b", BAD, helps=["c"])], "github")
    assert text == (
        "::error file=a%2C b%3A1.m3i,line=2,endLine=2,col=3,endColumn=6,title=M3I0011"
        "::100%25 `a`%0A::error::b%0Ahelp: c\n"
    )


def test_github_has_no_place_for_what_is_in_no_file() -> None:
    given = SourceFile("<--set x>", "bad")
    assert render([error("M3I0011", "m", Span(given, 0, 3))], "github") == "::error title=M3I0011::m\n"


def test_sarif_has_place_rule_and_only_safe_fixes() -> None:
    fixed = error("M3I0102", "m", BAD, fix=Fix(BAD, "good"))
    unsafe = error("M3I0011", "n", BAD, fix=Fix(BAD, "good", safe=False))
    (run,) = json.loads(render([fixed, unsafe], "sarif"))["runs"]
    region = {"startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 6}
    first, second = run["results"]
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a%2C%20b%3A1.m3i"},
        "region": region,
    }
    assert [run["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] for each in (first, second)] == [
        "M3I0102",
        "M3I0011",
    ]
    (replaced,) = first["fixes"][0]["artifactChanges"][0]["replacements"]
    assert replaced == {"deletedRegion": region, "insertedContent": {"text": "good"}}
    assert "fixes" not in second


def test_nothing_wrong_is_a_whole_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Code scanning refuses an empty file, and closes its alerts by a log without results."""
    recipe = ROOT / "recipes" / "m3i_digits.m3i"
    assert main(["check", "--output-format", "sarif", str(recipe)]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["tool"]["driver"]["name"] == "m3ic"


def test_hooks_look_at_recipes_with_their_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part alone names no recipe: the hook must not hand it over by name."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "m3i"]) == 0
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")):
        command, *words = hook["entry"].split()
        named = [str(path) for path in sorted(tmp_path.rglob("*.m3i"))] if hook.get("pass_filenames", True) else []
        assert command == "m3ic"
        assert main([*words, *hook.get("args", ()), *named]) == 0, hook["id"]
