"""The table of results as a Markdown page.

Takes: the records of finished rows, those of raw pixels, and the notes that people wrote. Gives: the page. Guarantees:
a row that is not clearly above its untrained encoder has its note, or says that none was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m3i_dsl.vocabulary.kinds import recorded_measure

TEMPLATE = Path(__file__).with_name("results_template.md")
MISSING_NOTE = "Not explained yet."


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all rows, in words: shown above the table."""

    date: str
    machine: str
    versions: str
    command: str
    settings: Mapping[str, str]


def verdict(row: Mapping[str, Any]) -> str:
    """By which measures the trained encoder is above the untrained one by more than two standard errors."""
    knn, linear = (bool(row["measured"][name]["clear"]) for name in ("knn", "linear"))
    if knn == linear:
        return "yes" if knn else "no"
    return "kNN only" if knn else "linear only"


def page(
    rows: Sequence[Mapping[str, Any]],
    pixels: Mapping[str, Any] | None,
    failed: Mapping[str, str],
    notes: Mapping[str, str],
    setting: Setting,
) -> str:
    """The page; `notes` are by row name, `failed` says of rows without a result what happened."""
    footnotes: list[str] = []
    lines = [
        "| recipe | kNN, trained | untrained | linear, trained | untrained | beats untrained | images/s | seconds |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for row in rows:
        above = verdict(row)
        note = notes.get(row["name"], "" if above == "yes" else MISSING_NOTE)
        if note:
            footnotes.append(f"{len(footnotes) + 1}. `{row['name']}`: {note.strip()}")
            above += f" <sup>{len(footnotes)}</sup>"
        knn, linear = row["measured"]["knn"], row["measured"]["linear"]
        seconds = row["seconds_training"] + row["seconds_evaluating"]
        cells = (
            f"[{row['name']}](../{row['recipe']})",
            f"**{number(knn['trained'])}**",
            number(knn["untrained"]),
            f"**{number(linear['trained'])}**",
            number(linear["untrained"]),
            above,
            f"{row['images_per_second']:.0f}",
            f"{seconds:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    for name, reason in failed.items():
        lines.append(f"| {name} | failed: {reason} | | | | | | |")
    if pixels is not None:
        lines.append(f"| raw pixels | {number(pixels['knn'])} | | {number(pixels['linear'])} | | | | |")
    return TEMPLATE.read_text(encoding="utf-8").format(
        setting=setting,
        settings="\n".join(f"- `{name}` = `{value}`" for name, value in setting.settings.items()),
        table="\n".join(lines),
        footnotes="\n".join(("", *footnotes, "")) if footnotes else "",
        samples=rows[0]["measured"]["knn"]["trained"]["n"] if rows else "no",
    )


def number(result: Mapping[str, Any]) -> str:
    """A result with its standard error, in the unit of its measure."""
    measure = recorded_measure("accuracy", result.get("measure"))
    return f"{measure.number(result['value'])} +- {measure.error(result['standard_error'])}"
