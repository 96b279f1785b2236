"""One line for each diagnostic: `recipe.m3i:9:9: error[M3I0304] message`."""

from __future__ import annotations

from collections.abc import Iterable

from m3i_dsl.diagnostics.model import Diagnostic
from m3i_dsl.diagnostics.render.style import Painter


def render_concise(diagnostics: Iterable[Diagnostic], *, color: bool = False) -> str:
    paint = Painter(color)
    return "".join(
        paint.plain(f"{diagnostic.span}: ")
        + paint.severity(f"{diagnostic.severity.value}[{diagnostic.code}]", diagnostic.severity)
        + paint.plain(f" {diagnostic.message}\n")
        for diagnostic in diagnostics
    )
