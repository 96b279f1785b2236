"""Diagnostics for programs.

Takes: diagnostics. Gives: one JSON object with `schema_version` and `diagnostics`. Guarantees: lines and columns count
from 1, offsets from 0, in code points; `end` is the place after the last character; a field is never left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from m3i_dsl.diagnostics.catalogue import name_of
from m3i_dsl.diagnostics.model import Diagnostic, Fix, Label
from m3i_dsl.source import SourceFile, Span

SCHEMA_VERSION = 1


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """One JSON document."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in diagnostics],
    }
    return json.dumps(document, indent=2) + "\n"


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    span = diagnostic.span
    return {
        "code": diagnostic.code,
        "name": name_of(diagnostic.code),
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "file": span.file.name,
        "range": _range(span),
        "label": diagnostic.primary.text,
        "labels": [_label(label) for label in diagnostic.secondary],
        "notes": list(diagnostic.notes),
        "helps": list(diagnostic.helps),
        "fix": None if diagnostic.fix is None else _fix(diagnostic.fix),
        "used_from": [{"file": use.file.name, "range": _range(use)} for use in include_stack(span.file)],
        "url": None,
    }


def include_stack(file: SourceFile) -> list[Span]:
    """The `use` statements that brought `file` in, the nearest first."""
    stack: list[Span] = []
    while file.included_from is not None:
        stack.append(file.included_from)
        file = file.included_from.file
    return stack


def _label(label: Label) -> dict[str, Any]:
    return {"file": label.span.file.name, "range": _range(label.span), "message": label.text}


def _fix(fix: Fix) -> dict[str, Any]:
    return {"file": fix.span.file.name, "range": _range(fix.span), "text": fix.text, "safe": fix.safe}


def _range(span: Span) -> dict[str, dict[str, int]]:
    return {"start": _place(span.file, span.start), "end": _place(span.file, span.end)}


def _place(file: SourceFile, offset: int) -> dict[str, int]:
    line, column = file.line_and_column(offset)
    return {"line": line, "column": column, "offset": offset}
