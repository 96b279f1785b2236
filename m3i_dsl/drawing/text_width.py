"""How wide a text is, without a font: the widths of Helvetica, which browsers use or imitate.

Takes: a text and a size. Gives: its width in the same unit, and its lines when it must be wrapped. Guarantees: a little
more than what Helvetica, Arial and Liberation Sans need, so that labels fit their boxes.
"""

from __future__ import annotations

import unicodedata

_WIDTHS = {
    222: "ijl'|",
    278: " !,./:;I[\\]ft",
    333: "()-r`{}",
    389: '*"',
    500: "Jckvxsyz^",
    556: "#$0123456789?L_abdeghnopqu",
    584: "+<=>~",
    611: "FTZ",
    667: "&ABEKPSVXY",
    722: "CDHNRUw",
    778: "GOQ",
    833: "Mm",
    944: "W%",
    1015: "@",
}
_WIDTH_OF = {character: width for width, characters in _WIDTHS.items() for character in characters}
_OTHER = 620
_MARGIN = 1.04
SUBSCRIPT = 0.72
"""The size of a subscript."""


def width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of `text` in a font of `size`."""
    units = sum(_WIDTH_OF.get(character) or _other(character) for character in text)
    return units / 1000 * size * _MARGIN * (1.07 if bold else 1.0)


def _other(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 1000 if unicodedata.east_asian_width(character) in "WF" else _OTHER


def wrap(text: str, size: float, widest: float) -> list[str]:
    """`text` in lines of at most `widest`, broken at spaces; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and width(f"{lines[-1]} {word}", size) <= widest:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines
