"""Diagnostics as text, one file for each format.

Takes: diagnostics. Gives: `full` for people, `concise` with one line for each, `json` for programs, `github` for
workflows, `sarif` for code scanning. Guarantees: any span of any text can be rendered; colour only where it is asked
for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from m3i_dsl.diagnostics.model import Diagnostic

Format = Literal["full", "concise", "json", "github", "sarif"]
FORMATS: tuple[Format, ...] = ("full", "concise", "json", "github", "sarif")


def render(diagnostics: Iterable[Diagnostic], format: Format = "full", color: bool = False) -> str:
    """The text of `diagnostics`; empty, or ending in a newline. Formats for programs are never coloured."""
    found = tuple(diagnostics)
    if not found and format not in ("json", "sarif"):
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
        case "github":
            from m3i_dsl.diagnostics.render.github import render_github

            return render_github(found)
        case "sarif":
            from m3i_dsl.diagnostics.render.sarif import render_sarif

            return render_sarif(found)
