"""The drawing as SVG.

Takes: a `Drawing`. Gives: the text of a self-contained SVG. Guarantees: ASCII (other characters are references), no
scripts, no fonts or files from elsewhere, dark text on an explicit white background, a title and a description for
readers that do not see it, a tooltip for each box; the same drawing gives the same bytes.
"""

from __future__ import annotations

from dataclasses import replace

from m3i_dsl.drawing import palette, symbols
from m3i_dsl.drawing.geometry import CYLINDER, DETAIL, DETAIL_LINE, LABEL, MARGIN, PADDING_Y, TITLE, Box, Layout
from m3i_dsl.drawing.layout import layout, title_line
from m3i_dsl.drawing.model import Drawing, Edge, Node
from m3i_dsl.drawing.palette import INK, PAPER, QUIET, Color, Palette
from m3i_dsl.drawing.svg_arrows import line, marks
from m3i_dsl.drawing.svg_legend import legend
from m3i_dsl.drawing.svg_text import escape, number, text, title

SANS = "Helvetica, Arial, 'Liberation Sans', sans-serif"


def render(drawing: Drawing) -> str:
    """The whole document."""
    placed = layout(drawing)
    colors = palette.of(drawing)
    below, width, height = legend(drawing, placed.width, placed.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width)}" height="{number(height)}" '
        f'viewBox="0 0 {number(width)} {number(height)}" role="img" aria-labelledby="title description" '
        f'font-family="{SANS}">',
        f'<title id="title">{escape(drawing.name)}</title>',
        f'<desc id="description">{escape(_description(drawing))}</desc>',
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        *(text(x, MARGIN + 4, heading, size=LABEL, fill=QUIET) for x, heading in placed.headings),
        *_lanes(drawing, placed, colors),
    ]
    arrows = list(zip(drawing.edges, placed.routes, strict=True))
    for edge, route in arrows:
        lines += line(edge, route, colors.edge(drawing, edge).stroke)
    for edge, route in arrows:
        lines += marks(edge, route, _behind(drawing, edge, colors))
    for node in drawing.nodes:
        lines += _box(node, placed.boxes[node.id], colors.node(node))
    return "\n".join([*lines, *below, "</svg>"]) + "\n"


def _description(drawing: Drawing) -> str:
    """The picture in words: each arrow as a clause."""
    names = {node.id: symbols.heading(node) or node.title for node in drawing.nodes}
    words = {"flow": "to", "average": "is averaged into", "copy": "is copied into"}
    clauses = [
        f"{names[edge.source]} {words[edge.kind]} {names[edge.target]}"
        f"{', without gradient' if edge.stop_gradient else ''}"
        for edge in drawing.edges
    ]
    return "; ".join([*clauses, *drawing.notes])


def _lanes(drawing: Drawing, placed: Layout, colors: Palette) -> list[str]:
    lines: list[str] = []
    for group in drawing.groups:
        lane, color = placed.lanes[group.id], colors.group(group)
        lines += [
            f'<rect x="{number(lane.x)}" y="{number(lane.y)}" width="{number(lane.width)}" '
            f'height="{number(lane.height)}" rx="8" fill="{color.lane}" stroke="{color.fill}"/>',
            text(lane.x + 10, lane.y + 15, group.label, size=LABEL, fill=color.stroke, anchor="start", bold=True),
        ]
    return lines


def _behind(drawing: Drawing, edge: Edge, colors: Palette) -> str:
    """The colour of the background at the labels of an arrow: that of a lane between two boxes of a target."""
    group = drawing.node(edge.source).group
    if group is not None and group == drawing.node(edge.target).group:
        return colors.groups[group].lane
    return PAPER


def _box(node: Node, box: Box, color: Color) -> list[str]:
    """A box with its texts, and the whole word as tooltip."""
    tooltip = " ".join(part for part in (symbols.heading(node), node.about and f"= {node.about}") if part)
    if node.line:
        tooltip += f" (line {node.line})"
    x = box.x + box.width / 2
    lines = ["<g>", f"<title>{escape(tooltip)}</title>"]
    lines += [*_behind_box(node, box, color), _shape(node, box, color)]
    shift = CYLINDER if node.kind == "data" else 0.0
    if node.kind == "total":
        lines.append(title(x, box.middle + 5, node, INK))
    else:
        lines.append(title(x, box.y + shift + PADDING_Y + TITLE, node, INK))
    for index, detail in enumerate(box.details):
        y = box.y + shift + PADDING_Y + title_line(node) + DETAIL_LINE * index + DETAIL - 1
        lines.append(text(x, y, detail, size=DETAIL, fill=QUIET))
    return [*lines, "</g>"]


STACK = 3.5
"""How far the boxes behind a box that stands for several are from each other."""


def _behind_box(node: Node, box: Box, color: Color) -> list[str]:
    """Two more boxes behind one that stands for several."""
    if node.count == 1:
        return []
    return [_shape(node, replace(box, x=box.x + step, y=box.y + step), color) for step in (2 * STACK, STACK)]


def _shape(node: Node, box: Box, color: Color) -> str:
    style = f'fill="{color.fill}" stroke="{color.stroke}" stroke-width="1.2"'
    if node.kind == "total":
        radius = number(box.height / 2)
        return f'<circle cx="{number(box.x + box.width / 2)}" cy="{number(box.middle)}" r="{radius}" {style}/>'
    if node.kind == "data":
        return _cylinder(box, style)
    radius = number(min(box.height, box.width) / 2 if node.kind in ("input", "target") else 5.0)
    radius = number(min(18.0, float(radius)))
    return (
        f'<rect x="{number(box.x)}" y="{number(box.y)}" width="{number(box.width)}" height="{number(box.height)}" '
        f'rx="{radius}" {style}/>'
    )


def _cylinder(box: Box, style: str) -> str:
    """The usual sign of stored data."""
    left, right, half = number(box.x), number(box.right), number(box.width / 2)
    top, bottom = number(box.y + 5), number(box.bottom - 5)
    return (
        f'<path d="M{left},{top} A{half},5 0 0 1 {right},{top} V{bottom} A{half},5 0 0 1 {left},{bottom} Z '
        f'M{left},{top} A{half},5 0 0 0 {right},{top}" {style}/>'
    )
