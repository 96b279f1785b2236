"""What is below the picture: the meaning of colours and lines that occur in it, and its notes.

Takes: a `Drawing` and the size of the picture. Gives: SVG elements and the size with them. Guarantees: only what the
drawing has is explained.
"""

from __future__ import annotations

from m3i_dsl.drawing.geometry import LABEL, MARGIN
from m3i_dsl.drawing.model import Branch, Drawing
from m3i_dsl.drawing.palette import BRANCHES, INK, QUIET
from m3i_dsl.drawing.svg_text import number, text
from m3i_dsl.drawing.text_width import width as width_of
from m3i_dsl.drawing.text_width import wrap

_MEANING: dict[Branch, str] = {
    "online": "trained encoder",
    "average": "averaged encoder, no gradient",
    "frozen": "frozen encoder",
    "text": "text encoder",
}
_SAMPLE = 22.0
_SPACE = 18.0
_LINE = 15.0


def legend(drawing: Drawing, width: float, height: float) -> tuple[list[str], float, float]:
    """(elements, width, height) of the whole picture."""
    branches = {node.branch for node in drawing.nodes if node.kind == "call"}
    kinds = {edge.kind for edge in drawing.edges}
    entries: list[tuple[str, str]] = [(branch, _MEANING[branch]) for branch in _MEANING if branch in branches]
    if "average" in kinds:
        entries.append(("dashed", "moving average of parameters"))
    if "copy" in kinds:
        entries.append(("dotted", "copy of parameters at the start"))
    if any(edge.stop_gradient for edge in drawing.edges):
        entries.append(("stop", "stop gradient (sg)"))
    lines: list[str] = []
    x, y = MARGIN, height + 8
    for kind, meaning in entries:
        needed = _SAMPLE + 7 + width_of(meaning, LABEL)
        if x > MARGIN and x + needed > width - MARGIN:
            x, y = MARGIN, y + _LINE + 2
        lines += _sample(kind, x, y)
        lines.append(text(x + _SAMPLE + 7, y + 3.5, meaning, size=LABEL, fill=QUIET, anchor="start"))
        x += needed + _SPACE
    for note in drawing.notes:
        for line in wrap(note, LABEL, width - 2 * MARGIN):
            y += _LINE
            lines.append(text(MARGIN, y + 3.5, line, size=LABEL, fill=QUIET, anchor="start"))
    return lines, width, y + MARGIN


def _sample(kind: str, x: float, y: float) -> list[str]:
    if kind in BRANCHES:
        color = BRANCHES[kind]
        return [
            f'<rect x="{number(x)}" y="{number(y - 6)}" width="{number(_SAMPLE)}" height="12" rx="3" '
            f'fill="{color.fill}" stroke="{color.stroke}" stroke-width="1.2"/>'
        ]
    end = number(x + _SAMPLE)
    if kind == "stop":
        bars = " ".join(f"M{number(x + 9 + shift)},{number(y + 5)} l4,-10" for shift in (-2.2, 2.2))
        return [
            f'<path d="M{number(x)},{number(y)} H{end}" stroke="{INK}" stroke-width="1.2"/>',
            f'<path d="{bars}" stroke="{INK}" stroke-width="1.6"/>',
        ]
    dashes = "5 3" if kind == "dashed" else "1.5 3"
    color = BRANCHES["average" if kind == "dashed" else "frozen"].stroke
    return [
        f'<path d="M{number(x)},{number(y)} H{end}" stroke="{color}" stroke-width="1.4" stroke-dasharray="{dashes}"/>'
    ]
