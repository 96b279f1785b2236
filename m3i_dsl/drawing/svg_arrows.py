"""Arrows in SVG: curves, arrowheads, stop-gradient marks and labels.

Takes: a `Route` of the layout and its colour. Gives: SVG elements. Guarantees: arrowheads are shapes of their own, with
no markers to refer to; a label has a halo in the colour of what is behind it.
"""

from __future__ import annotations

import math
from itertools import pairwise

from m3i_dsl.drawing.geometry import LABEL, LABEL_LINE, STOP_LEAD, Point, Route
from m3i_dsl.drawing.model import Edge
from m3i_dsl.drawing.palette import INK
from m3i_dsl.drawing.svg_text import SERIF, escape, number

HEAD = 7.0
"""The length of an arrowhead."""
HALF = 3.2
"""Half its width."""
BAR = 5.0
"""Half the height of the two bars of a stopped gradient."""


def line(edge: Edge, route: Route, stroke: str) -> list[str]:
    """The line of an arrow and its head."""
    dashed = ' stroke-dasharray="5 3"' if edge.kind == "average" else ' stroke-dasharray="1.5 3"'
    style = "" if edge.kind == "flow" else dashed
    return [
        f'<path d="{path(route)}" fill="none" stroke="{stroke}" stroke-width="1.4"{style}/>',
        head(route, stroke),
    ]


def marks(edge: Edge, route: Route, behind: str) -> list[str]:
    """The stop-gradient mark and the label of an arrow, for above all lines; `behind` is the colour behind them."""
    found = _stop(route, behind) if edge.stop_gradient else []
    if (label := route.label) is not None:
        for index, content in enumerate(label.lines):
            found.append(_label(label.x, label.y + LABEL_LINE * index, content, label.anchor, behind))
    return found


def path(route: Route) -> str:
    """The path data of an arrow, which ends inside its head."""
    points = [*route.points[:-1], _before_head(route)]
    data = [f"M{_point(points[0])}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        if not route.curved or y0 == y1:
            data.append(f"L{_point((x1, y1))}")
        else:
            bend = (x1 - x0) / 2
            data.append(f"C{_point((x0 + bend, y0))} {_point((x1 - bend, y1))} {_point((x1, y1))}")
    return " ".join(data)


def head(route: Route, fill: str) -> str:
    """A triangle whose tip is the arrow's end."""
    (x0, y0), (x1, y1) = route.points[-2:]
    if route.curved:
        x0, y0 = x1 - 1, y1
    length = math.hypot(x1 - x0, y1 - y0)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    back = (x1 - HEAD * dx, y1 - HEAD * dy)
    corners = [(x1, y1), (back[0] - HALF * dy, back[1] + HALF * dx), (back[0] + HALF * dy, back[1] - HALF * dx)]
    return f'<polygon points="{" ".join(_point(corner) for corner in corners)}" fill="{fill}"/>'


def _before_head(route: Route) -> Point:
    """Where the line ends: inside the head, so that its blunt end is hidden."""
    (x0, y0), (x1, y1) = route.points[-2:]
    if route.curved:
        return (x1 - HEAD + 1, y1)
    length = math.hypot(x1 - x0, y1 - y0)
    return (x1 - (HEAD - 1) * (x1 - x0) / length, y1 - (HEAD - 1) * (y1 - y0) / length)


def _stop(route: Route, behind: str) -> list[str]:
    """Two bars across the arrow where it leaves its box, with `sg` at the outer side of the bend."""
    (x0, y), *_, (_, y1) = route.points
    x = x0 + STOP_LEAD / 2
    found = [
        f'<path d="M{_point((x + shift - 2, y + BAR))} L{_point((x + shift + 2, y - BAR))}" stroke="{color}" '
        f'stroke-width="{thick}"/>'
        for color, thick in ((behind, "5"), (INK, "1.6"))
        for shift in (-2.2, 2.2)
    ]
    below = y1 < y
    found.append(_label(x, y + 16 if below else y - 8, "sg", "middle", behind))
    return found


def _label(x: float, y: float, content: str, anchor: str, behind: str) -> str:
    symbol = f' font-family="{SERIF}"' if content in ("x", "y") else ""
    size = LABEL + 4 if symbol else LABEL
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{number(size)}" font-style="italic"{symbol} fill="{INK}" '
        f'text-anchor="{anchor}" stroke="{behind}" stroke-width="3" stroke-linejoin="round" paint-order="stroke">'
        f"{escape(content)}</text>"
    )


def _point(point: Point) -> str:
    return f"{number(point[0])},{number(point[1])}"
