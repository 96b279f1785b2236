"""Every recipe trains two epochs on the embedded digits, through the commands that a user types."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.load import load_recipe

ROOT = Path(__file__).parents[2]
SMALL = {"epochs": "2", "width": "48", "depth": "2"}


def _declarations(path: Path) -> tuple[ast.Declaration, ...]:
    return load_recipe(SourceFile(str(path), path.read_text(encoding="utf-8"))).recipe.declarations


RECIPES = [
    path
    for path in sorted(ROOT.glob("recipes/**/*.m3i"))
    if path.parent.name != "official"
    and any(isinstance(declaration, ast.RecipeName) for declaration in _declarations(path))
]


def _settings(path: Path) -> list[str]:
    params = {declaration.name.text for declaration in _declarations(path) if isinstance(declaration, ast.Param)}
    return [word for name, value in SMALL.items() if name in params for word in ("--set", f"{name}={value}")]


def test_the_recipes_of_the_issue_are_there() -> None:
    names = {path.stem for path in RECIPES}
    assert len([path for path in RECIPES if path.parent.name == "table"]) == 14
    assert names >= {
        *("mae", "simmim", "data2vec", "moco_v3", "byol", "barlow_twins", "densecl", "dino"),
        *("siamese_im", "clip", "supervised", "m3i", "m3i_no_mix", "m3i_digits"),
    }


@pytest.mark.parametrize("path", RECIPES, ids=[str(path.relative_to(ROOT / "recipes")) for path in RECIPES])
def test_recipe_trains(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compile", str(path), *_settings(path)]) == 0
    assert main(["train", "--device", "cpu", "--workers", "0", "--log-every", "1"]) == 0
    run = Path(capsys.readouterr().out.splitlines()[-1])
    run = max(run.glob("stages/[0-9]*"), default=run)  # of stages the last one
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [event["loss"] for event in events if event["event"] == "step"]
    assert len(losses) >= 20
    assert all(math.isfinite(loss) for loss in losses)
    start, end = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    text = path.read_text(encoding="utf-8")
    # Random negatives are easy, and so are targets that all hold one prototype: the loss rises until keys replace them,
    # or the running centre has found it.
    if "queue:" in text or "centering" in text:
        start = max(losses)
    assert end < start + 0.05 * abs(start), "the loss rises"
    accuracies = [value for event in events if event["event"] != "step" for value in _numbers(event)]
    assert any(0 < value <= 1 for value in accuracies), "the evaluations at the end gave no accuracy"
    assert list((run / "checkpoints").glob("step-*")), "there is no checkpoint"


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for inner in value.values() for number in _numbers(inner)]
    return [value] if isinstance(value, float) else []
