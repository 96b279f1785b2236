"""The table of differences: every row is equal or declared in the header of its recipe, and the page has them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fidelity import public
from benchmarks.fidelity.__main__ import page
from benchmarks.fidelity.rows import METHODS, ROWS, Row

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("row", [row for row in ROWS if row.declared], ids=lambda row: f"{row.recipe}: {row.what}")
def test_what_differs_is_in_the_header_of_the_recipe(row: Row) -> None:
    header = (ROOT / "recipes" / f"{row.recipe}.m3i").read_text(encoding="utf-8").partition("m3i 1")[0]
    assert row.declared in header


def test_what_is_equal_is_measured() -> None:
    assert all(row.measure is not None for row in ROWS if not row.declared)
    steps = {row.recipe for row in ROWS if row.what.startswith("three steps")}
    assert steps == set(METHODS) == {path.stem for path in (ROOT / "recipes" / "official").glob("*.m3i")}


def test_the_page_has_every_row() -> None:
    text = (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8")
    for row in ROWS:
        said = f"declared: {row.declared}" if row.declared else "equal"
        assert f"| [{row.recipe}](../recipes/{row.recipe}.m3i) | {row.what} | {said} |" in text


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name, name=name.partition(".")[0])

    monkeypatch.setattr(public.importlib, "import_module", missing)
    text = page([], public.compared())
    assert "left out: lightly is not installed" in text and "left out: open_clip is not installed" in text
