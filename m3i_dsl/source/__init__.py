"""Source text, spans and includes."""

from m3i_dsl.source.includes import DISK, LARGEST, Disk, InMemory, MissingFile, Reader, UnreadableFile, read_file
from m3i_dsl.source.text import SourceFile, Span

__all__ = [
    "DISK",
    "LARGEST",
    "Disk",
    "InMemory",
    "MissingFile",
    "Reader",
    "SourceFile",
    "Span",
    "UnreadableFile",
    "read_file",
]
