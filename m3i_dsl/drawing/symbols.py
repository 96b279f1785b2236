"""The paper's symbols in each alphabet.

Takes: a symbol of a node ("f_theta", "zh_y", "-log P"). Gives: its base, its subscript, and its plain text. Guarantees:
every symbol that build.py writes is known; Greek letters are spelled only here.
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
