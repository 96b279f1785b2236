"""Diagnostics for people: message, the source with the places marked, notes and helps.

Takes: diagnostics. Gives: for each a block of text; the lines of the main place first, other files after it.
Guarantees: a mark stands under what it is about, whatever the line contains; `m3ic explain` is mentioned once for each
code.
"""

from __future__ import annotations

from collections.abc import Iterable

from m3i_dsl.diagnostics.catalogue import codes
from m3i_dsl.diagnostics.model import Diagnostic, Label
from m3i_dsl.diagnostics.render.json import include_stack
from m3i_dsl.diagnostics.render.snippet import ELLIPSIS, Mark, Underline, snippet
from m3i_dsl.diagnostics.render.style import Painter, Role
from m3i_dsl.source import SourceFile, Span


def render_full(diagnostics: Iterable[Diagnostic], *, color: bool = False) -> str:
    """Blocks of text with an empty line between them."""
    paint = Painter(color)
    mentioned: set[str] = set()
    blocks: list[str] = []
    for diagnostic in diagnostics:
        explain = diagnostic.code in codes() and diagnostic.code not in mentioned
        mentioned.add(diagnostic.code)
        blocks.append(_Block(diagnostic, paint).text(explain=explain))
    return "\n".join(blocks)


class _Block:
    def __init__(self, diagnostic: Diagnostic, paint: Painter) -> None:
        self._diagnostic = diagnostic
        self._paint = paint
        self._labels = [(diagnostic.primary, True), *((label, False) for label in diagnostic.secondary)]
        last = max(span_lines(label.span)[1] for label, _ in self._labels)
        self._width = len(str(last))

    def text(self, *, explain: bool) -> str:
        diagnostic = self._diagnostic
        head = self._paint.severity(f"{diagnostic.severity.value}[{diagnostic.code}]", diagnostic.severity)
        lines = [f"{head}{self._paint(': ' + diagnostic.message, 'strong')}"]
        files = list(dict.fromkeys(label.span.file for label, _ in self._labels))
        for file in files:
            labels = [(label, primary) for label, primary in self._labels if label.span.file is file]
            lines += self._file(file, labels, first=file is files[0])
        lines += self._remarks(explain)
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _file(self, file: SourceFile, labels: list[tuple[Label, bool]], *, first: bool) -> list[str]:
        place = self._paint.plain(str(labels[0][0].span))
        arrow = "-->" if first else ":::"
        if not file.text:  # of a file that is empty, or not there, there is nothing to show
            return [f"{' ' * (self._width + 1)}{self._paint(arrow, 'gutter')} {place}"]
        lines = [f"{' ' * (self._width + 1)}{self._paint(arrow, 'gutter')} {place}", self._gutter()]
        marks: dict[int, list[Mark]] = {}
        gaps: set[int] = set()
        for label, primary in labels:
            for number, mark in _marks(label, primary):
                marks.setdefault(number, []).append(mark)
            first_line, last_line = span_lines(label.span)
            if last_line > first_line + 1:
                gaps.add(first_line)
        for number in sorted(marks):
            shown = snippet(file.line(number), marks[number])
            lines.append(f"{self._gutter(number)} {shown.text}")
            lines += [f"{self._gutter()} {self._row(row)}" for row in shown.rows]
            if number in gaps and number + 1 not in marks:
                lines.append(self._paint(ELLIPSIS, "gutter"))
        lines.append(self._gutter())
        return lines

    def _gutter(self, number: int | None = None) -> str:
        text = "" if number is None else str(number)
        return self._paint(f" {text:>{self._width}} |", "gutter")

    def _row(self, row: Underline) -> str:
        from rich.cells import cell_len

        text, width = "", 0
        for cell, piece, primary in row.pieces:
            text += " " * max(0, cell - width)
            text += (
                self._paint.severity(piece, self._diagnostic.severity) if primary else self._paint(piece, "secondary")
            )
            width = max(width, cell) + cell_len(piece)
        return text

    def _remarks(self, explain: bool) -> list[str]:
        diagnostic = self._diagnostic
        uses = include_stack(diagnostic.span.file)
        used = [f"`{_user(uses, index, diagnostic)}` is used at {use}" for index, use in enumerate(uses)]
        pointer = [f"run `m3ic explain {diagnostic.code}`"] if explain else []
        remarks: list[tuple[Role, str]] = []
        remarks.extend(("note", note) for note in (*diagnostic.notes, *used))
        remarks.extend(("help", help) for help in (*diagnostic.helps, *pointer))
        indent = " " * (self._width + 2)
        lines: list[str] = []
        for role, text in remarks:
            first, *others = self._paint.plain(text).split("\n")
            lines.append(f"{indent}{self._paint('=', 'gutter')} {self._paint(role, role)}: {first}")
            lines += [f"{indent}{' ' * len(f'= {role}: ')}{other}" for other in others]
        return lines


def _user(uses: list[Span], index: int, diagnostic: Diagnostic) -> str:
    """The file that the `index`-th use brought in."""
    return diagnostic.span.file.name if index == 0 else uses[index - 1].file.name


def span_lines(span: Span) -> tuple[int, int]:
    """The first and last line of a span; a line break at its very end does not count."""
    first, _ = span.file.line_and_column(span.start)
    last, column = span.file.line_and_column(max(span.start, span.end))
    if last > first and column == 1:
        last -= 1
    return first, last


def _marks(label: Label, primary: bool) -> list[tuple[int, Mark]]:
    """A span on one line is one mark; over several lines, its first and its last line are marked."""
    span = label.span
    first, last = span_lines(span)
    start = span.file.line_and_column(span.start)[1] - 1
    if first == last:
        end = start + max(0, min(span.end, len(span.file.text)) - min(span.start, len(span.file.text)))
        return [(first, Mark(start, end, label.text, primary))]
    text = span.file.line(last)
    indent = len(text) - len(text.lstrip())
    end_line, end_column = span.file.line_and_column(span.end)
    end = end_column - 1 if end_line == last else len(text)
    return [
        (first, Mark(start, len(span.file.line(first)), "", primary)),
        (last, Mark(min(indent, end), end, label.text, primary)),
    ]
