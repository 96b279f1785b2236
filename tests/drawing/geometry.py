"""What makes a layout a good picture, as faults in words: an empty list is a good one.

Texts are measured with the package's own table of widths; curves are followed in small steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

from m3i_dsl.drawing import Drawing, Edge
from m3i_dsl.drawing.geometry import DETAIL, LABEL, LABEL_LINE, Box, Layout, Point, Rectangle, Route
from m3i_dsl.drawing.layout import layout, title_width
from m3i_dsl.drawing.text_width import width

TOLERANCE = 0.01
STEPS = 24


def faults(drawing: Drawing) -> list[str]:
    """Everything that is wrong with the layout of `drawing`."""
    placed = layout(drawing)
    return [
        *_overlaps(placed),
        *_texts(drawing, placed),
        *_lanes(drawing, placed),
        *(fault for edge, route in _flows(drawing, placed) for fault in _arrow(edge, route, placed)),
        *_followers(drawing, placed),
        *_labels(drawing, placed),
    ]


def _flows(drawing: Drawing, placed: Layout) -> list[tuple[Edge, Route]]:
    return [(e, r) for e, r in zip(drawing.edges, placed.routes, strict=True) if e.kind == "flow"]


def _overlaps(placed: Layout) -> Iterator[str]:
    for (one, a), (other, b) in combinations(placed.boxes.items(), 2):
        if a.x < b.right and b.x < a.right and a.y < b.bottom and b.y < a.bottom:
            yield f"{one} overlaps {other}"
    for id_, box in placed.boxes.items():
        if not (box.x >= 0 and box.right <= placed.width and box.y >= 0 and box.bottom <= placed.height):
            yield f"{id_} is outside of the picture"


def _texts(drawing: Drawing, placed: Layout) -> Iterator[str]:
    for node in drawing.nodes:
        box = placed.boxes[node.id]
        widest = max([title_width(node), *(width(line, DETAIL) for line in box.details)])
        if widest > box.width + TOLERANCE:
            yield f"a text of {node.id} is {widest:.0f} wide, its box {box.width:.0f}"
    for group in drawing.groups:
        if width(group.label, LABEL, bold=True) + 20 > placed.lanes[group.id].width:
            yield f"the label of {group.id} does not fit its lane"


def _lanes(drawing: Drawing, placed: Layout) -> Iterator[str]:
    for (one, a), (other, b) in combinations(placed.lanes.items(), 2):
        if _meet(a, b):
            yield f"lane {one} overlaps lane {other}"
    for group in drawing.groups:
        lane = placed.lanes[group.id]
        for id_, box in placed.boxes.items():
            if (id_ in group.nodes) != _meet(lane, Rectangle(box.x, box.y, box.width, box.height)):
                yield f"{id_} and lane {group.id}"


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def _arrow(edge: Edge, route: Route, placed: Layout) -> Iterator[str]:
    source, target = placed.boxes[edge.source], placed.boxes[edge.target]
    (x0, y0), (x1, y1) = route.points[0], route.points[-1]
    if abs(x0 - source.right) > TOLERANCE or not source.y < y0 < source.bottom:
        yield f"{edge.source} -> {edge.target} does not start at its box"
    if abs(x1 - target.x) > TOLERANCE or not target.y < y1 < target.bottom:
        yield f"{edge.source} -> {edge.target} does not end at its box"
    others = {id_: box for id_, box in placed.boxes.items() if id_ not in (edge.source, edge.target)}
    for point in _followed(route.points):
        for id_, box in others.items():
            if _inside(point, box):
                yield f"{edge.source} -> {edge.target} passes through {id_}"
                return


def _followers(drawing: Drawing, placed: Layout) -> Iterator[str]:
    for edge, route in zip(drawing.edges, placed.routes, strict=True):
        for (x, y), id_ in zip((route.points[0], route.points[-1]), (edge.source, edge.target), strict=True):
            box = placed.boxes[id_]
            on_side = abs(x - box.x) < TOLERANCE or abs(x - box.right) < TOLERANCE
            on_top = abs(y - box.y) < TOLERANCE or abs(y - box.bottom) < TOLERANCE
            if edge.kind != "flow" and not (on_side or on_top):
                yield f"{edge.source} -> {edge.target} does not touch {id_}"


def _labels(drawing: Drawing, placed: Layout) -> Iterator[str]:
    """Labels lie on no box and on no other label."""
    found: list[tuple[str, Rectangle]] = []
    for edge, route in zip(drawing.edges, placed.routes, strict=True):
        if (label := route.label) is None:
            continue
        for index, line in enumerate(label.lines):
            wide = width(line, LABEL)
            left = label.x if label.anchor == "start" else label.x - wide
            found.append((f"label {line} of {edge.target}", Rectangle(left, label.y - 8 + LABEL_LINE * index, wide, 9)))
            if edge.kind == "flow" and any(_meet(found[-1][1], Rectangle(*at, 0, 0)) for at in _followed(route.points)):
                yield f"{found[-1][0]} lies on its own arrow"
    for name, rectangle in found:
        for id_, box in placed.boxes.items():
            if _meet(rectangle, Rectangle(box.x, box.y, box.width, box.height)):
                yield f"{name} lies on {id_}"
    for (one, a), (other, b) in combinations(found, 2):
        if _meet(a, b):
            yield f"{one} lies on {other}"


def _followed(points: tuple[Point, ...]) -> Iterator[Point]:
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = (x1 - x0) / 2
        for step in range(STEPS + 1):
            t = step / STEPS
            weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
            yield (
                sum(w * c for w, c in zip(weights, (x0, x0 + bend, x1 - bend, x1), strict=True)),
                sum(w * c for w, c in zip(weights, (y0, y0, y1, y1), strict=True)),
            )


def _inside(point: Point, box: Box) -> bool:
    x, y = point
    return box.x + TOLERANCE < x < box.right - TOLERANCE and box.y + TOLERANCE < y < box.bottom - TOLERANCE
