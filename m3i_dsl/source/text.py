"""Source text and places in it.

Takes: the text of a recipe and the name it goes by. Gives: `SourceFile` (lines, offsets, columns) and `Span`, the place
of every value from the file to the graph. Guarantees: any span of any text can be located and shown.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class SourceFile:
    """One text that was read: a file, standard input, or a string in memory.

    `included_from` is the span of the `use` statement that brought the file in, so that a message can show the whole
    chain of files down to the recipe on the command line.
    """

    name: str
    text: str = field(repr=False)
    included_from: Span | None = field(default=None, repr=False)

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Offset of the first character of each line; a final newline opens a last, empty line."""
        return (0, *(index + 1 for index, character in enumerate(self.text) if character == "\n"))

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """1-based line and 1-based column, in code points, of `offset` (clamped to the text)."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of 1-based line `number` without its line ending."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")


@dataclass(frozen=True, slots=True)
class Span:
    """The half-open range [start, end) of `file.text`, in code points."""

    file: SourceFile
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.file.text[self.start : self.end]

    @property
    def line(self) -> int:
        return self.file.line_and_column(self.start)[0]

    @property
    def column(self) -> int:
        return self.file.line_and_column(self.start)[1]

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other` (same file)."""
        return Span(self.file, min(self.start, other.start), max(self.end, other.end))

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}:{self.column}"

    def sort_key(self) -> tuple[str, int, int]:
        return self.file.name, self.start, self.end
