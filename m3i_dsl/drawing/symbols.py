"""The paper's symbols, and texts, as characters that every format can hold.

Takes: a symbol of a node ("f_theta", "z_y", "-log P"), or a text. Gives: the parts of the symbol, and plain text.
Guarantees: Greek letters are spelled only here; no control character and no half of a pair remains in a text.
"""

from __future__ import annotations

from m3i_dsl.drawing.model import Node

_GREEK = {"theta": "\u03b8", "phi": "\u03c6", "psi": "\u03c8"}
MINUS_LOG = "\u2212log"


def parts(symbol: str) -> tuple[str, str, str]:
    """(upright text, italic letter, italic subscript) of a symbol: ("", "f", Greek theta)."""
    if symbol.startswith("-log "):
        return f"{MINUS_LOG} ", symbol.removeprefix("-log "), ""
    base, _, below = symbol.partition("_")
    return "", base, _GREEK.get(below, below)


def text(symbol: str) -> str:
    """The symbol in plain text, `f_` and a Greek letter."""
    upright, letter, below = parts(symbol)
    return f"{upright}{letter}{f'_{below}' if below else ''}"


def heading(node: Node) -> str:
    """Symbol and title of a node in plain text."""
    return " ".join(part for part in (text(node.symbol) if node.symbol else "", node.title) if part)


def printable(text: str) -> str:
    """`text` with a replacement character for each that XML, mermaid or UTF-8 could not hold."""
    return "".join("\ufffd" if _unprintable(ord(character)) else character for character in text)


def _unprintable(code: int) -> bool:
    control = (code < 32 and chr(code) not in "\t\n\r") or 127 <= code < 160
    return control or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF)
