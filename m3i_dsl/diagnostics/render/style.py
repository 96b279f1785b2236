"""Colours of the text formats.

Takes: text and what it is. Gives: the text, in colour if asked. Guarantees: without colour, the text itself; with it,
no other escape sequences than those of the colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from m3i_dsl.diagnostics.model import Severity
from m3i_dsl.source.printable import printable

Role = Literal["error", "warning", "info", "gutter", "secondary", "strong", "help", "note"]

_STYLES: dict[Role, str] = {
    "error": "bold red",
    "warning": "bold yellow",
    "info": "bold blue",
    "gutter": "bold blue",
    "secondary": "bold cyan",
    "strong": "bold",
    "help": "bold green",
    "note": "bold",
}


@dataclass(frozen=True, slots=True)
class Painter:
    """Paints, or not."""

    color: bool

    def __call__(self, text: str, role: Role) -> str:
        if not self.color or not text:
            return text
        from rich.color import ColorSystem
        from rich.style import Style

        return Style.parse(_STYLES[role]).render(printable(text), color_system=ColorSystem.STANDARD)

    def plain(self, text: str) -> str:
        """Text among painted text, which has no colour of its own."""
        return printable(text) if self.color else text

    def severity(self, text: str, severity: Severity) -> str:
        match severity:
            case Severity.ERROR:
                return self(text, "error")
            case Severity.WARNING:
                return self(text, "warning")
            case Severity.INFO:
                return self(text, "info")
