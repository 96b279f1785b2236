"""`m3ic opt` shows the passes and what each made of the graph; `--passes` chooses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.passes import NAMES

ROOT = Path(__file__).parents[2]
M3I = str(ROOT / "recipes/m3i.m3i")
SIMMIM = str(ROOT / "recipes/simmim.m3i")


def test_the_table_names_every_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", M3I]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(NAMES)
    assert "6 -> 3" in next(line for line in lines if line.startswith("common-subexpressions"))


def test_the_difference_of_a_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", SIMMIM, "--print-after", "needed-tokens"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("--- before needed-tokens\n+++ after needed-tokens\n")
    assert main(["opt", SIMMIM, "--print-after", "one-correlation"]) == 0
    assert capsys.readouterr().out == "one-correlation changes nothing\n"


def test_all_graphs_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", M3I, "--print-after", "all", "--passes", "dead-code,common-subexpressions"]) == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith("# after")] == [
        "# after common-subexpressions",
        "# after dead-code",
    ]


@pytest.mark.parametrize("flags", (["--passes", "ded-code"], ["--print-after", "ded-code"]))
def test_an_unknown_pass(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", M3I, *flags]) == 2
    assert "there is no pass `ded-code`" in capsys.readouterr().err


def test_the_artifact_says_which_passes_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from m3i_dsl.driver import load_artifact

    monkeypatch.chdir(tmp_path)
    assert main(["compile", SIMMIM, "--passes", "common-subexpressions"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["passes"] == ["common-subexpressions"]
    _, executable = load_artifact(folder)
    assert [e.operation for e in executable.graph.equations].index("predict") < [
        e.operation for e in executable.graph.equations
    ].index("patches"), "needed-tokens was left out, and is not applied on loading"


def test_verify_compares_every_stage(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["opt", M3I, "--verify"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == list(NAMES)
    assert {line.split()[0] for line in lines} == {"equal", "unchanged"}
    from m3i_dsl.passes import common_subexpressions

    # With a fault in a pass: the averaged encoder's two views are taken for one.
    key = common_subexpressions._key
    monkeypatch.setattr(common_subexpressions, "_key", lambda e: e.attributes if e.operation == "encode" else key(e))
    assert main(["opt", M3I, "--verify", "--passes", "common-subexpressions"]) == 1
    assert capsys.readouterr().err.startswith("differs")
