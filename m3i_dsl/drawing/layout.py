"""Where everything is: the boxes, lanes and arrows of a drawing in pixels.

Takes: a `Drawing`. Gives: a `Layout`. Guarantees: no two boxes overlap, each text fits its box, every arrow starts and
ends at the border of its boxes and passes no other box; the same drawing has the same layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from m3i_dsl.drawing import place as gaps
from m3i_dsl.drawing import symbols
from m3i_dsl.drawing.layers import Layered, layered
from m3i_dsl.drawing.model import COLUMNS, Drawing, Edge, Kind, Node
from m3i_dsl.drawing.order import order
from m3i_dsl.drawing.place import place
from m3i_dsl.drawing.text_width import SUBSCRIPT, width, wrap

TITLE = 13.0
DETAIL = 10.0
LABEL = 10.5
TITLE_LINE = 17.0
DETAIL_LINE = 12.5
CYLINDER = 6.0
"""The height of the lid of a cylinder."""
PADDING_X = 9.0
PADDING_Y = 7.0
MARGIN = 16.0
HEADING = 26.0
GUTTER = 38.0
LABEL_ROOM = 24.0
"""What a label on an arrow needs beside its own width."""
PORTS = 13.0
"""The distance of two arrows that end at one box."""
NEARLY = 4.0
"""An arrow that would climb less is drawn straight."""
STOP_LEAD = 20.0
"""How far an arrow with a stopped gradient goes straight, for its mark."""
FORK = 26.0
"""What a label needs more where arrows part."""
FOLLOW_X = 20.0
"""Where the arrow to an average leaves its box, from the left."""

_WIDEST: dict[Kind, float] = {
    "view": 84.0,
    "data": 100.0,
    "input": 48.0,
    "loss": 104.0,
    "predictor": 104.0,
    "target": 104.0,
}
_WIDEST_OTHER = 124.0


@dataclass(frozen=True, slots=True)
class Box:
    """A node: its rectangle, and its details as they are broken into lines."""

    x: float
    y: float
    width: float
    height: float
    details: tuple[str, ...]

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Route:
    """An arrow through `points`. Between two points of one height it is straight, else an S; `vertical` ones are
    straight lines. `label_at` is where its label goes: (x, baseline, "start" | "middle" | "end"), None for no label.
    """

    points: tuple[Point, ...]
    label_at: tuple[float, float, str] | None = None
    shape: str = "flow"


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A lane."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """`headings` are (middle, text); `routes` are in the order of the drawing's edges."""

    boxes: dict[str, Box]
    routes: tuple[Route, ...]
    lanes: dict[str, Rectangle]
    headings: tuple[tuple[float, str], ...]
    width: float
    height: float


def title_width(node: Node) -> float:
    """The width of a node's symbol and title."""
    upright, letter, below = symbols.parts(node.symbol)
    symbol = width(upright + letter, TITLE) + width(below, TITLE * SUBSCRIPT)
    space = width(" ", TITLE) * 1.5 if node.symbol and node.title else 0.0
    return symbol + space + width(node.title, TITLE, bold=True)


def title_line(node: Node) -> float:
    """The height of its title, which has a deep subscript when the title is a symbol alone."""
    return TITLE_LINE + (0.0 if node.title else 3.0)


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
        _route(index, edge, drawing, layers, boxes, at, spans)
        if edge.kind == "flow"
        else _follow(edge, drawing, layers, boxes)
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
            widths[layer] = max(widths[layer], FOLLOW_X + 6 + width(_ramp(edge.label)[-1], LABEL) + 4)
    gutters = [GUTTER] * len(widths)
    for index, chain in layers.chains.items():
        edge = drawing.edges[index]
        text = width(edge.label, LABEL) if edge.label else 0.0
        at = layers.vertices[chain[0] if _starts(drawing, edge) else chain[-2]].layer
        fork = FORK if sum(other.source == edge.source for other in drawing.edges) > 1 and len(chain) == 2 else 0.0
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


def _starts(drawing: Drawing, edge: Edge) -> bool:
    """Whether the label is at the arrow's start: where it comes from has no other arrow, and it ends among others."""
    return drawing.node(edge.target).kind in ("weighting", "total", "loss")


def _route(
    index: int,
    edge: Edge,
    drawing: Drawing,
    layers: Layered,
    boxes: dict[str, Box],
    at: list[float],
    spans: list[tuple[float, float]],
) -> Route:
    source, target = boxes[edge.source], boxes[edge.target]
    arriving = sorted(
        (at[chain[-2]], number)
        for number, chain in layers.chains.items()
        if drawing.edges[number].target == edge.target
    )
    place_ = [number for _, number in arriving].index(index)
    distance = min(PORTS, (target.height - 12) / len(arriving))
    end_y = target.middle + (place_ - (len(arriving) - 1) / 2) * distance
    if abs(at[layers.chains[index][-2]] - end_y) <= NEARLY:
        end_y = at[layers.chains[index][-2]]
    chain = layers.chains[index]
    points: list[Point] = [(source.right, source.middle)]
    if edge.stop_gradient:
        points.append((source.right + STOP_LEAD, source.middle))
    for vertex in chain[1:-1]:
        left, column_width = spans[layers.vertices[vertex].layer]
        points += [(left, at[vertex]), (left + column_width, at[vertex])]
    points.append((target.x, end_y))
    label: tuple[float, float, str] | None = None
    if edge.label and _starts(drawing, edge):
        climbs = end_y < source.middle
        label = (source.right + 8, source.middle + (13 if climbs else -5), "start")
    elif edge.label:
        label = (
            target.x - (12 if drawing.node(edge.target).group is None else 10 + gaps.LANE_PADDING),
            end_y - 5,
            "end",
        )
    return Route(tuple(points), label)


def _follow(edge: Edge, drawing: Drawing, layers: Layered, boxes: dict[str, Box]) -> Route:
    """From an encoder to its average in the same column: straight when they are neighbours, else around at the left."""
    source, target = boxes[edge.source], boxes[edge.target]
    vertices = [layers.of_node[id_] for id_ in (edge.source, edge.target)]
    layer = layers.layers[layers.vertices[vertices[0]].layer]
    first, second = (layer.index(vertex) for vertex in vertices)
    down = second > first
    nearest = next(
        e for e in drawing.edges if e.kind == edge.kind and e.source == edge.source and _same(drawing, e, edge)
    )
    x = source.x + FOLLOW_X
    start_y, end_y = (source.bottom, target.y) if down else (source.y, target.bottom)
    if abs(second - first) == 1:
        middle = (start_y + end_y) / 2
        lines = _ramp(edge.label)
        shown = nearest == edge or not _neighbours(nearest, layers)
        label = (x + 7, middle + 3 - (len(lines) - 1) * 6, "start") if shown else None
        return Route(((x, start_y), (x, end_y)), label, "vertical")
    side = source.x - 12
    return Route(
        ((source.x, source.middle), (side, source.middle), (side, target.middle), (target.x, target.middle)),
        None,
        "side",
    )


def _same(drawing: Drawing, one: Edge, other: Edge) -> bool:
    return drawing.node(one.target).title == drawing.node(other.target).title


def _neighbours(edge: Edge, layers: Layered) -> bool:
    layer = layers.layers[layers.vertices[layers.of_node[edge.source]].layer]
    return abs(layer.index(layers.of_node[edge.source]) - layer.index(layers.of_node[edge.target])) == 1


def _ramp(label: str) -> list[str]:
    """`EMA` and its ramp in two lines."""
    head, _, ramp = label.partition(" ")
    return [head, ramp] if ramp else [head]
