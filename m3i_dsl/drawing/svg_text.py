"""Text in SVG: escaped, in ASCII, and with the paper's symbols as italic letters and subscripts.

Takes: texts and symbols. Gives: SVG elements. Guarantees: any name is safe inside an element or an attribute; what XML
forbids altogether is shown as the replacement character.
"""

from __future__ import annotations

from m3i_dsl.drawing import symbols
from m3i_dsl.drawing.geometry import TITLE
from m3i_dsl.drawing.model import Node
from m3i_dsl.drawing.text_width import SUBSCRIPT

SERIF = "'Times New Roman', 'Liberation Serif', Times, serif"
_SPECIAL = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
DROP = 3.0
"""How far a subscript is below the line."""


def escape(text: str) -> str:
    """`text` for an element or a quoted attribute."""
    return "".join(_SPECIAL.get(character) or _ascii(character) for character in symbols.printable(text))


def _ascii(character: str) -> str:
    return character if " " <= character <= "~" else f"&#{ord(character)};"


def number(value: float) -> str:
    """A coordinate with at most one decimal."""
    rounded = round(value, 1)
    return str(int(rounded)) if rounded == int(rounded) else f"{rounded:.1f}"


def text(
    x: float,
    y: float,
    content: str,
    *,
    size: float,
    fill: str,
    anchor: str = "middle",
    bold: bool = False,
    italic: bool = False,
) -> str:
    """One line of text at baseline `y`."""
    style = (' font-weight="bold"' if bold else "") + (' font-style="italic"' if italic else "")
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{number(size)}" fill="{fill}" text-anchor="{anchor}"'
        f"{style}>{escape(content)}</text>"
    )


def title(x: float, y: float, node: Node, fill: str) -> str:
    """Symbol and title of a node, centred at `x`."""
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{number(TITLE)}" fill="{fill}" text-anchor="middle">'
        f"{_spans(node)}</text>"
    )


def _spans(node: Node) -> str:
    bold = f'<tspan font-weight="bold">{escape(node.title)}</tspan>' if node.title else ""
    if not node.symbol:
        return bold
    upright, letter, below = symbols.parts(node.symbol)
    italic = f'font-family="{SERIF}" font-style="italic"'
    found = escape(upright) + f'<tspan {italic} font-size="{number(TITLE + 2)}">{escape(letter)}</tspan>'
    if below:
        size = number(TITLE * SUBSCRIPT + 1)
        found += f'<tspan {italic} font-size="{size}" dy="{number(DROP)}">{escape(below)}</tspan>'
    if not bold:
        return found
    # The space is moved back up to the line, and the title follows it.
    back = f' dy="{number(-DROP)}"' if below else ""
    return f"{found}<tspan{back}>&#160;</tspan>{bold}"
