"""What a notebook shows by itself: pictures and tables.

Takes: the text of a picture, or rows. Gives: objects with the display methods of IPython, and plain text elsewhere.
Guarantees: no IPython is needed; what is shown is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as SVG text; `save` writes it."""

    svg: str = field(repr=False)

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Writes the SVG to a file and returns its path. Raises OSError."""
        path = Path(path)
        path.write_text(self.svg, encoding="utf-8", newline="\n")
        return path


@dataclass(frozen=True, slots=True)
class Table(Sequence[Mapping[str, Any]]):
    """Rows under named columns; a sequence of mappings, so that `pandas.DataFrame(table)` works."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """A row as a mapping, or several for a slice."""
        if isinstance(index, slice):
            return [self._row(row) for row in self.rows[index]]
        return self._row(self.rows[index])

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return (self._row(row) for row in self.rows)

    def _row(self, row: tuple[Any, ...]) -> Mapping[str, Any]:
        return dict(zip(self.columns, row, strict=True))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(column)}</th>" for column in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __repr__(self) -> str:
        cells = [self.columns, *(tuple(str(cell) for cell in row) for row in self.rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.columns))]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
        return "\n".join(line.rstrip() for line in lines)
