"""A line of source with marks under it.

Takes: a line's text and the marks on it, in code points. Gives: what the terminal shows: tabs expanded, characters that
would disturb it replaced, a long line cut around its marks, underlines by terminal cell, and each mark's label.
Guarantees: works for any line and any columns; a mark is at least one cell wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

TAB = 4
WIDEST = 120
ELLIPSIS = "..."
FAR = 2000
"""Characters to each side of the main mark beyond which a line is not looked at."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Columns [start, end), 0-based, in code points."""

    start: int
    end: int
    label: str
    primary: bool


@dataclass(frozen=True, slots=True)
class Underline:
    """One row below the line: pieces of text at cells, in order, and whether each belongs to the primary place."""

    pieces: tuple[tuple[int, str, bool], ...]


@dataclass(frozen=True, slots=True)
class Snippet:
    """A line as shown, and what to show below it."""

    text: str
    rows: tuple[Underline, ...]


@dataclass(frozen=True, slots=True)
class _Cells:
    """A mark in terminal cells."""

    start: int
    end: int
    mark: Mark


def snippet(line: str, marks: Sequence[Mark]) -> Snippet:
    """`line` as shown, and the rows to show below it."""
    line, marks = _around(line, marks)
    shown, cells = _expand(line)
    placed = [_place(mark, cells) for mark in marks]
    shown, placed = _cut(shown, placed)
    rows: list[Underline] = []
    for layer in _layers(placed):
        rows += _rows(layer)
    return Snippet(shown.rstrip(), tuple(rows))


def _around(line: str, marks: Sequence[Mark]) -> tuple[str, Sequence[Mark]]:
    """The part of an enormous line that can be shown: characters may be without width, but not all of so many."""
    if len(line) <= 2 * FAR or not marks:
        return line, marks
    focus = next((mark for mark in marks if mark.primary), marks[0])
    first = max(0, min(focus.start, len(line)) - FAR)
    part = line[first : first + 2 * FAR]
    moved = [
        replace(m, start=max(0, min(m.start - first, len(part))), end=max(0, min(m.end - first, len(part))))
        for m in marks
    ]
    return part, moved


def _expand(line: str) -> tuple[str, list[int]]:
    """The line as shown, and the cell at which each code point starts; the last entry is the line's width."""
    from rich.cells import cell_len

    shown: list[str] = []
    cells: list[int] = []
    width = 0
    for character in line:
        cells.append(width)
        if character == "\t":
            text = " " * (TAB - width % TAB)
        elif character.isprintable() or character == " ":
            text = character
        else:
            text = "\N{REPLACEMENT CHARACTER}"
        shown.append(text)
        width += cell_len(text)
    cells.append(width)
    return "".join(shown), cells


def _place(mark: Mark, cells: Sequence[int]) -> _Cells:
    last = len(cells) - 1
    start = cells[max(0, min(mark.start, last))]
    end = cells[max(0, min(mark.end, last))]
    return _Cells(start, max(end, start + 1), mark)


def _cut(shown: str, placed: Sequence[_Cells]) -> tuple[str, list[_Cells]]:
    """A window of WIDEST cells that shows the start of the primary mark; what is outside is cut off."""
    from rich.cells import cell_len, set_cell_size

    width = cell_len(shown)
    if width <= WIDEST:
        return shown, list(placed)
    focus = next((cells for cells in placed if cells.mark.primary), placed[0] if placed else None)
    start = 0 if focus is None else max(0, min(focus.start - WIDEST // 3, width - WIDEST))
    if start <= len(ELLIPSIS):
        start = 0
    prefix = ELLIPSIS if start > 0 else ""
    suffix = ELLIPSIS if start + WIDEST < width else ""
    inner = WIDEST - len(prefix) - len(suffix)
    visible = set_cell_size(_from_cell(shown, start + len(prefix)), inner)
    low, high = len(prefix), len(prefix) + inner
    moved = [
        _Cells(
            max(low, min(cells.start - start, high)),
            max(max(low, min(cells.start - start, high)) + 1, min(cells.end - start, high)),
            cells.mark,
        )
        for cells in placed
    ]
    return prefix + visible + suffix, moved


def _from_cell(text: str, cell: int) -> str:
    """The text from `cell` on; half a wide character becomes a space."""
    from rich.cells import cell_len

    width = 0
    for index, character in enumerate(text):
        if width >= cell:
            return " " * (width - cell) + text[index:]
        width += cell_len(character)
    return " " * max(0, width - cell)


def _layers(placed: Sequence[_Cells]) -> list[list[_Cells]]:
    """Marks that do not overlap share a row of underlines; the primary one is in the first."""
    layers: list[list[_Cells]] = []
    for cells in sorted(placed, key=lambda c: (not c.mark.primary, c.start)):
        for layer in layers:
            if all(cells.end <= other.start or other.end <= cells.start for other in layer):
                layer.append(cells)
                break
        else:
            layers.append([cells])
    return [sorted(layer, key=lambda c: c.start) for layer in layers]


def _rows(layer: Sequence[_Cells]) -> list[Underline]:
    """The underlines with the last label behind them, then each other label on a row of its own, from right to left."""
    pieces = [(c.start, ("^" if c.mark.primary else "-") * (c.end - c.start), c.mark.primary) for c in layer]
    *others, last = layer
    if last.mark.label:
        pieces.append((last.end + 1, last.mark.label, last.mark.primary))
    rows = [Underline(tuple(pieces))]
    waiting = [cells for cells in others if cells.mark.label]
    if waiting:
        rows.append(Underline(tuple((c.start, "|", c.mark.primary) for c in waiting)))
    while waiting:
        cells = waiting.pop()
        bars = [(c.start, "|", c.mark.primary) for c in waiting]
        rows.append(Underline((*bars, (cells.start, cells.mark.label, cells.mark.primary))))
    return rows
