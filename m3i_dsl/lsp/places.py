"""Places of the protocol and places of a text.

Takes: spans, in code points, or positions, in lines and units of the client. Gives: the other. Guarantees: lines are
those of the protocol (ended by a line feed) also where the text has other characters that end lines elsewhere.
"""

from __future__ import annotations

from itertools import pairwise

from lsprotocol import types
from pygls import uris
from pygls.workspace import PositionCodec

from m3i_dsl.source import SourceFile, Span


def lines_of(file: SourceFile) -> list[str]:
    """The lines of a file with their ends."""
    bounds = [*file.line_starts, len(file.text)]
    return [file.text[start:end] for start, end in pairwise(bounds)]


def position(file: SourceFile, offset: int, codec: PositionCodec) -> types.Position:
    """Where the character at `offset` is."""
    line, column = file.line_and_column(offset)
    return codec.position_to_client_units(lines_of(file), types.Position(line - 1, column - 1))


def range_(span: Span, codec: PositionCodec) -> types.Range:
    """The range of a span."""
    return types.Range(position(span.file, span.start, codec), position(span.file, span.end, codec))


def whole(file: SourceFile, codec: PositionCodec) -> types.Range:
    """The range of all of a file."""
    return range_(Span(file, 0, len(file.text)), codec)


def offset(file: SourceFile, where: types.Position, codec: PositionCodec) -> int:
    """The character that a position names; beyond the text it is the nearest one."""
    lines = lines_of(file)
    if where.line >= len(lines):
        return len(file.text)
    found = codec.position_from_client_units(lines, where)
    start = file.line_starts[found.line]
    return start + min(found.character, len(lines[found.line].rstrip("\r\n")))


def location(span: Span, codec: PositionCodec) -> types.Location:
    """A span with its file."""
    return types.Location(uri_of(span.file.name), range_(span, codec))


def uri_of(path: str) -> str:
    """The address of a file."""
    return uris.from_fs_path(path) or path


def path_of(uri: str) -> str:
    """The path of an address; of a document that is in no file the address itself."""
    return uris.to_fs_path(uri) or uri
