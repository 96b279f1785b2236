"""Source text, spans and includes."""

from m3i_dsl.source.text import SourceFile, Span

__all__ = ["SourceFile", "Span"]
