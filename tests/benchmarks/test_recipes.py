"""The table of results: a row from a recipe to its record, kept and used again, and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.page import MISSING_NOTE, Setting, page, verdict
from benchmarks.row import Job, measure_recipe

ROOT = Path(__file__).parents[2]
SETTING = Setting("2000-01-01", "a machine", "torch 1", "python benchmarks/recipes.py", {"epochs": "1"})


def test_a_row_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    pointer = ROOT / "target" / "latest"
    before = pointer.read_bytes() if pointer.is_file() else None
    settings = {"epochs": "1", "width": "24", "depth": "1"}
    job = Job(Path("recipes/mae.m3i"), settings, tmp_path, "cpu", 1, 0)
    record = measure_recipe(job)
    assert before == (pointer.read_bytes() if pointer.is_file() else None), "the user's last artifact is another now"
    assert (record["name"], record["recipe"], record["epochs"]) == ("mae", "recipes/mae.m3i", 1)
    for name in ("knn", "linear"):
        measured = record["measured"][name]
        trained, untrained = measured["trained"]["value"], measured["untrained"]["value"]
        assert 0.1 < untrained <= 1
        assert measured["difference"]["value"] == pytest.approx(trained - untrained)
        assert trained != untrained, "the untrained encoder was measured twice"
    kept = tmp_path / "rows" / "mae.json"
    written = json.loads(kept.read_text(encoding="utf-8"))
    assert written == record
    kept.write_text(json.dumps({**written, "steps": -1}), encoding="utf-8")
    assert measure_recipe(job)["steps"] == -1, "a record with the same fingerprint is returned as it is"


def _row(name: str, knn: bool, linear: bool) -> dict[str, Any]:
    def measured(clear: bool) -> dict[str, Any]:
        result = {"value": 0.5, "standard_error": 0.01, "n": 100}
        return {"trained": result, "untrained": {**result, "value": 0.25}, "clear": clear}

    return {
        "name": name,
        "recipe": f"recipes/{name}.m3i",
        "images_per_second": 10.0,
        "seconds_training": 5.0,
        "seconds_evaluating": 2.0,
        "measured": {"knn": measured(knn), "linear": measured(linear)},
    }


@pytest.mark.parametrize(
    ("knn", "linear", "said"),
    [(True, True, "yes"), (True, False, "kNN only"), (False, True, "linear only"), (False, False, "no")],
)
def test_a_verdict_names_what_is_clear(knn: bool, linear: bool, said: str) -> None:
    assert verdict(_row("a", knn, linear)) == said


def test_a_row_that_is_not_above_its_untrained_encoder_is_explained_or_said_not_to_be() -> None:
    rows = [_row("good", True, True), _row("known", False, True), _row("unknown", False, False)]
    pixels = {name: {"value": 0.3, "standard_error": 0.01} for name in ("knn", "linear")}
    text = page(rows, pixels, {"broken": "ValueError: no"}, {"known": "Because."}, SETTING)
    lines = text.splitlines()
    assert (
        "| [good](../recipes/good.m3i) | **50.0 +- 1.0** | 25.0 +- 1.0 | **50.0 +- 1.0** | 25.0 +- 1.0 | yes | 10 | 7 |"
        in lines
    )
    assert "1. `known`: Because." in lines
    assert f"2. `unknown`: {MISSING_NOTE}" in lines
    assert "| broken | failed: ValueError: no | | | | | | |" in lines
    assert any(line.startswith("| raw pixels | 30.0 +- 1.0 |") for line in lines)
    assert "`good`: " not in text
    assert "- `epochs` = `1`" in lines
