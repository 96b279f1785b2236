"""Text as a terminal may be given it.

Takes: text that may hold what people's files are called, or what stands in them. Gives: the text with every character
that would steer a terminal, or turn the reading direction, written as `\\x1b`. Guarantees: line breaks and tabs stay in
`printable`, and nothing but blanks of that kind in `one_line`; what is printable is not touched.
"""

from __future__ import annotations

import re

_STEERING = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_STEERS = re.compile(f"[{_STEERING}]|\r(?!\n)")
_STEERS_OR_BREAKS = re.compile(f"[{_STEERING}\n\r]")
_STYLE = re.compile("\x1b\\[[0-9;]*m|\x1b\\[[0-9]*[A-GJK]|\x1b\\[\\?25[hl]|\r")
"""What rich writes: colours, movements of a live table, the cursor shown or hidden."""


def printable(text: str) -> str:
    """With line breaks as they are."""
    return _STEERS.sub(_written, text)


def one_line(text: str) -> str:
    """With line breaks written as `\\n`: a name cannot begin a line of its own."""
    return _STEERS_OR_BREAKS.sub(_written, text)


def styled(text: str) -> str:
    """With colours and the movements of a live table as they are."""
    pieces: list[str] = []
    end = 0
    for style in _STYLE.finditer(text):
        pieces += (printable(text[end : style.start()]), style.group())
        end = style.end()
    return "".join((*pieces, printable(text[end:])))


def _written(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if (named := {10: "\\n", 13: "\\r"}.get(code)) is not None:
        return named
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
