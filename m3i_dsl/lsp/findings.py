"""Diagnostics for an editor, and the fixes that go with them.

Takes: what `check` says. Gives: the protocol's diagnostics by file, and code actions. Guarantees: code, message, notes
and helps are those of `m3ic check`; a fix is offered where `m3ic check --fix` would apply it, and one that is not safe
only by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from lsprotocol import types
from pygls.workspace import PositionCodec

from m3i_dsl.diagnostics import Diagnostic, Severity
from m3i_dsl.lsp.places import location, offset, range_, uri_of
from m3i_dsl.lsp.recipes import Analysis
from m3i_dsl.source import SourceFile

SOURCE = "m3ic"
UNUSED = "M3I0806"
FIX_ALL = f"{types.CodeActionKind.SourceFixAll.value}.{SOURCE}"

_SEVERITIES = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.INFO: types.DiagnosticSeverity.Information,
}


def by_file(found: Iterable[Diagnostic], codec: PositionCodec) -> dict[str, list[types.Diagnostic]]:
    """The diagnostics of each file, by its path."""
    files: dict[str, list[types.Diagnostic]] = defaultdict(list)
    for diagnostic in found:
        files[diagnostic.span.file.name].append(shown(diagnostic, codec))
    return dict(files)


def shown(diagnostic: Diagnostic, codec: PositionCodec) -> types.Diagnostic:
    """One diagnostic; its notes and helps are lines of the message, its other places are related."""
    lines = [diagnostic.message]
    lines += [diagnostic.primary.text] if diagnostic.primary.text else []
    lines += diagnostic.remarks
    return types.Diagnostic(
        range=range_(diagnostic.span, codec),
        message="\n".join(lines),
        severity=_SEVERITIES[diagnostic.severity],
        code=diagnostic.code,
        source=SOURCE,
        tags=[types.DiagnosticTag.Unnecessary] if diagnostic.code == UNUSED else None,
        related_information=[
            types.DiagnosticRelatedInformation(location(label.span, codec), label.text or "here")
            for label in diagnostic.secondary
        ],
    )


def actions(analysis: Analysis, wanted: types.Range, codec: PositionCodec) -> list[types.CodeAction]:
    """The fixes of what is said in `wanted`, and all safe ones together."""
    file = analysis.file
    start, end = offset(file, wanted.start, codec), offset(file, wanted.end, codec)
    found: list[types.CodeAction] = []
    for diagnostic in analysis.diagnostics:
        span, fix = diagnostic.span, diagnostic.fix
        if fix is None or span.file.name != file.name or span.end < start or span.start > end:
            continue
        title = next(iter(diagnostic.helps), f"replace by `{fix.text}`")
        found.append(
            types.CodeAction(
                title,
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[shown(diagnostic, codec)],
                is_preferred=fix.safe,
                edit=_edit([diagnostic], codec),
            )
        )
    safe = _apart([d for d in analysis.diagnostics if d.fix is not None and d.fix.safe], file)
    if safe:
        title = "Apply all safe fixes of m3ic"
        found.append(types.CodeAction(title, kind=FIX_ALL, edit=_edit(safe, codec)))
    return found


def _apart(found: Sequence[Diagnostic], file: SourceFile) -> list[Diagnostic]:
    """Those whose fixes are in `file` and do not touch each other, from the start."""
    chosen: list[Diagnostic] = []
    end = -1
    for diagnostic in sorted(found, key=lambda d: d.fix.span.start if d.fix else 0):
        assert diagnostic.fix is not None
        if diagnostic.fix.span.file.name == file.name and diagnostic.fix.span.start > end:
            chosen.append(diagnostic)
            end = diagnostic.fix.span.end
    return chosen


def _edit(found: Sequence[Diagnostic], codec: PositionCodec) -> types.WorkspaceEdit:
    edits: dict[str, list[types.TextEdit]] = defaultdict(list)
    for diagnostic in found:
        assert diagnostic.fix is not None
        span = diagnostic.fix.span
        edits[uri_of(span.file.name)].append(types.TextEdit(range_(span, codec), diagnostic.fix.text))
    return types.WorkspaceEdit(changes=dict(edits))
