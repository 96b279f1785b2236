"""Diagnostics about an artifact, which has no recipe line to point at.

Takes: the file at fault and, where there is one, the words in it that show the fault. Gives: `Diagnostic`. Guarantees:
every fault has a place, in the file of the artifact that shows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from m3i_dsl.artifact.manifest import COPY
from m3i_dsl.diagnostics import Diagnostic, Severity, error
from m3i_dsl.source import SourceFile, Span

COMPILE_AGAIN = "compile the recipe again with `m3ic compile`"


def called(folder: Path) -> str:
    """How a message names an artifact: by its folder, and that of a run, whose folder says nothing, by its path."""
    return str(folder) if folder.name == COPY else folder.name


def fault(
    code: str,
    message: str,
    file: str,
    *,
    text: str = "",
    at: str | None = None,
    label: str = "",
    notes: Iterable[str] = (),
    helps: Iterable[str] = (),
    severity: Severity = Severity.ERROR,
) -> Diagnostic:
    """A diagnostic in `file` (whose content is `text`) at the first occurrence of `at`, else at its start."""
    source = SourceFile(file, text)
    start = text.find(at) if at else -1
    span = Span(source, start, start + len(at)) if at and start >= 0 else Span(source, 0, 0)
    return error(code, message, span, label, notes=notes, helps=helps, severity=severity)
