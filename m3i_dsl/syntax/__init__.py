"""Text to syntax tree and back: parser, messages, printer, formatter."""

from m3i_dsl.syntax.parser import parse, parse_value

__all__ = ["parse", "parse_value"]
