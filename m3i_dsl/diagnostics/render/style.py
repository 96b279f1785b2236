"""Colours of the text formats.

Takes: text and what it is. Gives: the text, in colour if asked. Guarantees: without colour, the text itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from m3i_dsl.diagnostics.model import Severity

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

        return Style.parse(_STYLES[role]).render(text, color_system=ColorSystem.STANDARD)

    def severity(self, text: str, severity: Severity) -> str:
        match severity:
            case Severity.ERROR:
                return self(text, "error")
            case Severity.WARNING:
                return self(text, "warning")
            case Severity.INFO:
                return self(text, "info")
