"""Diagnostics as text, one file for each format.

Takes: diagnostics. Gives: `full` for people, `concise` with one line for each, `json` for programs. Guarantees: any
span of any text can be rendered; colour only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from m3i_dsl.diagnostics.model import Diagnostic

Format = Literal["full", "concise", "json"]
FORMATS: tuple[Format, ...] = ("full", "concise", "json")


def render(diagnostics: Iterable[Diagnostic], format: Format = "full", color: bool = False) -> str:
    """The text of `diagnostics`; empty, or ending in a newline. JSON is never coloured."""
    found = tuple(diagnostics)
    if not found and format != "json":
        return ""  # nothing to lay out, and nothing of what lays out to import
    match format:
        case "full":
            from m3i_dsl.diagnostics.render.full import render_full

            return render_full(found, color=color)
        case "concise":
            from m3i_dsl.diagnostics.render.concise import render_concise

            return render_concise(found, color=color)
        case "json":
            from m3i_dsl.diagnostics.render.json import render_json

            return render_json(found)
