"""Measures every row and writes docs/fidelity.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fidelity.public import Compared, compared
from benchmarks.fidelity.rows import ROWS, Row

ROOT = Path(__file__).resolve().parents[2]
INTRODUCTION = """# Recipes beside the published code

Written by `python -m benchmarks.fidelity`.
A recipe named after a method is that method.
A row is *equal* where a reference in float64, written from the paper and what the published code does, gives the same.
It is *declared* where the recipe differs and its header says so.
Equal rows are tests as well (`tests/numerics/test_training.py`).
Sizes, data and lengths are not rows: they are params, and `recipes/official/` has the published ones.
"""


def page(measured: Sequence[tuple[Row, float | None]], public: Sequence[Compared]) -> str:
    """The whole page."""
    lines = [INTRODUCTION, "| recipe | what | | difference | of what |", "| --- | --- | --- | ---: | --- |"]
    for row, value in measured:
        said = f"declared: {row.declared}" if row.declared else "equal"
        number = "" if value is None else f"{value:.1e}"
        lines.append(f"| [{row.recipe}](../recipes/{row.recipe}.m3i) | {row.what} | {said} | {number} | {row.unit} |")
    lines += ["", "## Beside public libraries", "", "| loss | library | largest difference |", "| --- | --- | ---: |"]
    for one in public:
        lines.append(f"| {one.name} | {one.library} | {one.note or f'{one.difference:.1e}'} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """0: the page is written. 1: a row that is to be equal is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "fidelity.md")
    output: Path = parser.parse_args().output
    measured: list[tuple[Row, float | None]] = []
    wrong = 0
    for row in ROWS:
        value = None if row.measure is None else row.measure()
        measured.append((row, value))
        print(f"{row.recipe}: {row.what}: {'' if value is None else f'{value:.1e}'}", file=sys.stderr)
        wrong += not row.declared and (value is None or value > row.tolerance)
    output.write_text(page(measured, compared()), encoding="utf-8")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
