"""The paper's tables beside runs of this machine, as text and as JSON.

Takes: `ReferenceTable` and `Measured`. Gives: printed tables. Guarantees: the two have columns of their own, under
headings that say whose they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from m3i_dsl.scaffold.references import Measured, ReferenceRow, ReferenceTable

PAPER = "paper: "
HERE = "here: "
WARNING = (
    "The paper's numbers are of ViT-B/16 or InternImage-H, trained on ImageNet or more; those of this project are of "
    "the runs that are named. They measure other things on other data, and are not to be compared."
)


def printed(tables: Sequence[ReferenceTable], runs: Sequence[Measured], *, markdown: bool) -> str:
    """All tables, the runs that are no row of them, and what the numbers are not."""
    parts: list[str] = []
    for table in tables:
        own = [run for run in runs if any(run.recipe in row.recipes for row in table.rows)]
        evaluators = list(dict.fromkeys(name for run in own for name in run.results))
        head = ["", "objective", *(PAPER + measure for measure in table.columns())]
        head += [HERE + name for name in evaluators]
        head += [HERE + "run", HERE + "data and length"] if own else []
        rows = [line for row in table.rows for line in _lines(table, row, own, evaluators)]
        parts += [f"{table.name}: {table.place}", *_laid([head, *rows], markdown)]
        notes = dict.fromkeys(f"{row.row}: {row.note}" for row in table.rows if row.note)
        parts += [*notes, ""]
    known = {recipe for table in tables for row in table.rows for recipe in row.recipes}
    for run in runs:
        if run.recipe not in known:
            found = ", ".join(f"{name} {value}" for name, value in run.results.items())
            parts.append(f"{run.run}: `{run.recipe}` is in no table of the paper; here: {found} ({_trained(run)})")
    return "\n".join([*parts, WARNING])


def _lines(table: ReferenceTable, row: ReferenceRow, own: Sequence[Measured], evaluators: list[str]) -> list[list[str]]:
    """A line for each run of a row, the paper's numbers in the first."""
    paper = [f"{row.numbers[measure]:.1f}" if measure in row.numbers else "-" for measure in table.columns()]
    first = [row.row, row.name, *paper]
    runs = [run for run in own if run.recipe in row.recipes]
    if not own:
        return [first]
    if not runs:
        return [[*first, *("-" for _ in range(len(evaluators) + 2))]]
    lines: list[list[str]] = []
    for run in runs:
        before = first if not lines else [""] * len(first)
        lines.append([*before, *(run.results.get(name, "-") for name in evaluators), run.run, _trained(run)])
    return lines


def _trained(run: Measured) -> str:
    return f"{run.data}, {run.length}"


def _laid(rows: list[list[str]], markdown: bool) -> list[str]:
    if markdown:
        head, *rest = [f"| {' | '.join(row)} |" for row in rows]
        return ["", head, f"|{' --- |' * len(rows[0])}", *rest, ""]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def as_json(tables: Sequence[ReferenceTable], runs: Sequence[Measured]) -> str:
    """The same as plain data: `paper` of each row, and `here` the runs of it."""
    found: list[dict[str, Any]] = []
    for table in tables:
        for row in table.rows:
            here = [_plain(run) for run in runs if run.recipe in row.recipes]
            paper = {"numbers": dict(row.numbers), "place": table.place, "note": row.note}
            found.append({"table": table.name, "row": row.row, "name": row.name, "paper": paper, "here": here})
    known = {recipe for table in tables for row in table.rows for recipe in row.recipes}
    others = [_plain(run) for run in runs if run.recipe not in known]
    return json.dumps({"rows": found, "others": others, "note": WARNING}, indent=2)


def _plain(run: Measured) -> dict[str, Any]:
    return {"run": run.run, "recipe": run.recipe, "data": run.data, "length": run.length, "results": dict(run.plain)}
