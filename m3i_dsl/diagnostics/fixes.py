"""Fixes: replacements that diagnostics carry, applied to texts.

Takes: diagnostics. Gives: the new text of each file that a safe fix changes. Guarantees: fixes of one file do not
overlap; of two that do, the first one in the text is applied, and the other is left for the next check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from m3i_dsl.diagnostics.model import Diagnostic, Fix
from m3i_dsl.source import SourceFile


def fixed_texts(diagnostics: Iterable[Diagnostic]) -> Mapping[SourceFile, tuple[str, int]]:
    """For each file with safe fixes, its new text and how many were applied."""
    by_file: dict[str, tuple[SourceFile, list[Fix]]] = {}
    for diagnostic in diagnostics:
        fix = diagnostic.fix
        if fix is not None and fix.safe:
            _, fixes = by_file.setdefault(fix.span.file.name, (fix.span.file, []))
            fixes.append(fix)
    return {file: _applied(file.text, fixes) for file, fixes in by_file.values()}


def _applied(text: str, fixes: Iterable[Fix]) -> tuple[str, int]:
    pieces: list[str] = []
    position, count = 0, 0
    for fix in sorted(fixes, key=lambda fix: (fix.span.start, fix.span.end)):
        if fix.span.start < position or (pieces and fix.span.start == position):
            continue
        pieces += [text[position : fix.span.start], fix.text]
        position = fix.span.end
        count += 1
    return "".join([*pieces, text[position:]]), count
