"""Where everything is: the boxes, lanes and arrows of a drawing in pixels.

Takes: a `Drawing`. Gives: a `Layout`. Guarantees: no two boxes overlap, each text fits its box, every arrow starts and
ends at the border of its boxes and passes no other box; the same drawing has the same layout.
"""

from __future__ import annotations

from itertools import pairwise

from m3i_dsl.drawing import place as gaps
from m3i_dsl.drawing import symbols
from m3i_dsl.drawing.geometry import (
    CYLINDER,
    DETAIL,
    DETAIL_LINE,
    FOLLOW_X,
    LABEL,
    MARGIN,
    PADDING_X,
    PADDING_Y,
    STOP_LEAD,
    TITLE,
    TITLE_LINE,
    Box,
    Layout,
    Rectangle,
)
from m3i_dsl.drawing.layers import Layered, layered
from m3i_dsl.drawing.model import COLUMNS, Drawing, Node, NodeKind
from m3i_dsl.drawing.order import order
from m3i_dsl.drawing.place import place
from m3i_dsl.drawing.routes import at_start, flow, follow, two_lines
from m3i_dsl.drawing.text_width import SUBSCRIPT, width, wrap

HEADING = 26.0
GUTTER = 38.0
LABEL_ROOM = 24.0
"""What a label on an arrow needs beside its own width."""
FORK = 26.0
"""What a label needs more where arrows part."""

_WIDEST: dict[NodeKind, float] = {
    "view": 84.0,
    "data": 100.0,
    "input": 48.0,
    "loss": 104.0,
    "predictor": 104.0,
    "target": 104.0,
}
_WIDEST_OTHER = 124.0


def title_width(node: Node) -> float:
    """The width of a node's symbol and title."""
    upright, letter, below = symbols.parts(node.symbol)
    symbol = width(upright + letter, TITLE) + width(below, TITLE * SUBSCRIPT)
    space = width(" ", TITLE) * 1.5 if node.symbol and node.title else 0.0
    return symbol + space + width(node.title, TITLE, bold=True)


def title_line(node: Node) -> float:
    """The height of its title: the subscript of a symbol is deep, and an only symbol is large."""
    return TITLE_LINE + (0.0 if not node.symbol else 1.5 if node.title else 3.0)


def _details(node: Node) -> tuple[str, ...]:
    widest = max(_WIDEST.get(node.kind, _WIDEST_OTHER) - 2 * PADDING_X, title_width(node))
    return tuple(line for detail in node.details for line in wrap(detail, DETAIL, widest))


def _size(node: Node, details: tuple[str, ...]) -> tuple[float, float]:
    if node.kind == "total":
        return 34.0, 34.0
    inner = max([title_width(node), *(width(line, DETAIL) for line in details)])
    extra = CYLINDER if node.kind == "data" else 0.0
    return inner + 2 * PADDING_X, title_line(node) + DETAIL_LINE * len(details) + 2 * PADDING_Y + extra


def layout(drawing: Drawing) -> Layout:
    """The layout of `drawing`."""
    details = {node.id: _details(node) for node in drawing.nodes}
    sizes = {node.id: _size(node, details[node.id]) for node in drawing.nodes}
    layers = layered(drawing)
    order(layers)
    heights = [0.0 if vertex.node is None else sizes[vertex.node][1] for vertex in layers.vertices]
    middles = place(layers, heights)
    tops = [middle - height / 2 for middle, height in zip(middles, heights, strict=True)]
    lane_top = gaps.LANE_PADDING + gaps.LANE_LABEL
    top = min(t - (lane_top if v.group is not None else 0) for t, v in zip(tops, layers.vertices, strict=True))
    shift = MARGIN + HEADING - top
    spans = _columns(drawing, layers, sizes, middles)
    boxes: dict[str, Box] = {}
    for node in drawing.nodes:
        vertex = layers.of_node[node.id]
        left, column_width = spans[layers.vertices[vertex].layer]
        own = sizes[node.id][0] if node.kind in ("total", "weighting") else column_width
        x = left + (column_width - own) / 2
        boxes[node.id] = Box(x, tops[vertex] + shift, own, sizes[node.id][1], details[node.id])
    at = [middle + shift for middle in middles]
    routes = tuple(
        flow(index, edge, drawing, layers, boxes, at, spans)
        if edge.kind == "flow"
        else follow(edge, drawing, layers, boxes)
        for index, edge in enumerate(drawing.edges)
    )
    lanes = {group.id: _lane([boxes[id_] for id_ in group.nodes]) for group in drawing.groups}
    headings = tuple(
        (left + column_width / 2, COLUMNS[column][0])
        for (left, column_width), column in zip(spans, layers.columns, strict=True)
        if COLUMNS[column][0] != "total"
    )
    right = max([*(box.right for box in boxes.values()), *(lane.x + lane.width for lane in lanes.values())])
    bottom = max([*(box.bottom for box in boxes.values()), *(lane.y + lane.height for lane in lanes.values()), *at])
    return Layout(boxes, routes, lanes, headings, right + MARGIN, bottom + MARGIN)


def _lane(boxes: list[Box]) -> Rectangle:
    left, right = min(box.x for box in boxes), max(box.right for box in boxes)
    top, bottom = min(box.y for box in boxes), max(box.bottom for box in boxes)
    y = top - gaps.LANE_PADDING - gaps.LANE_LABEL
    side = gaps.LANE_PADDING
    return Rectangle(left - side, y, right - left + 2 * side, bottom + gaps.LANE_PADDING - y)


def _columns(
    drawing: Drawing, layers: Layered, sizes: dict[str, tuple[float, float]], middles: list[int]
) -> list[tuple[float, float]]:
    """(left, width) of each layer. A gutter is wide enough for the labels in it, and wider where arrows climb."""
    widths = [max([0.0, *(sizes[v][0] for i in layer if (v := layers.vertices[i].node))]) for layer in layers.layers]
    for edge in drawing.edges:
        if edge.kind != "flow":
            layer = layers.vertices[layers.of_node[edge.target]].layer
            widths[layer] = max(widths[layer], FOLLOW_X + 6 + width(two_lines(edge.label)[-1], LABEL) + 4)
    gutters = [GUTTER] * len(widths)
    for index, chain in layers.chains.items():
        edge = drawing.edges[index]
        text = width(edge.label, LABEL) if edge.label else 0.0
        at = layers.vertices[chain[0] if at_start(drawing, edge) else chain[-2]].layer
        fork = FORK if sum(other.source == edge.source for other in drawing.edges) > 1 and len(chain) == 2 else 0.0
        fork += gaps.LANE_PADDING if at_start(drawing, edge) else 0.0
        room = text + LABEL_ROOM + fork if text else STOP_LEAD + GUTTER if edge.stop_gradient else 0.0
        gutters[at] = max(gutters[at], room)
        for source, target in pairwise(chain):
            climb = abs(middles[source] - middles[target])
            layer = layers.vertices[source].layer
            gutters[layer] = max(gutters[layer], min(GUTTER + climb * 0.12, 64.0))
    spans: list[tuple[float, float]] = []
    x = MARGIN
    grouped = {vertex.layer for vertex in layers.vertices if vertex.group is not None}
    for layer, column_width in enumerate(widths):
        if (layer in grouped) != (layer - 1 in grouped):
            x += gaps.LANE_PADDING
        if layer in grouped and layer - 1 in grouped:
            # The label of a lane is above both of its columns.
            labels = max(width(group.label, LABEL, bold=True) for group in drawing.groups)
            column_width = max(column_width, labels - (x - spans[-1][0]) + 4)
        spans.append((x, column_width))
        x += column_width + gutters[layer]
    return spans
