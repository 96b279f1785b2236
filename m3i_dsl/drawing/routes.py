"""The ways of arrows: flows from column to column, and what encoders' averages follow.

Takes: placed boxes. Gives: a `Route` for each edge. Guarantees: an arrow starts and ends at the border of its boxes;
arrows that end at one box have ports of their own, sorted by where they come from.
"""

from __future__ import annotations

from m3i_dsl.drawing.geometry import FOLLOW_X, STOP_LEAD, Box, Label, Point, Route
from m3i_dsl.drawing.layers import Layered
from m3i_dsl.drawing.model import Drawing, Edge
from m3i_dsl.drawing.place import LANE_PADDING

PORTS = 13.0
"""The distance of two arrows that end at one box."""
NEARLY = 4.0
"""An arrow that would climb less is drawn straight."""
AROUND = 16.0
"""How far from its boxes an arrow goes around others."""


def at_start(drawing: Drawing, edge: Edge) -> bool:
    """Whether the label is at the arrow's start: where it comes from has no other arrow, and it ends among others."""
    return drawing.node(edge.target).kind in ("weighting", "total", "loss")


def flow(
    index: int,
    edge: Edge,
    drawing: Drawing,
    layers: Layered,
    boxes: dict[str, Box],
    at: list[float],
    spans: list[tuple[float, float]],
) -> Route:
    """The arrow of a flow: through the passages of its chain, to a port of its own at the box where it ends."""
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
    label: Label | None = None
    if edge.label and at_start(drawing, edge):
        climbs = end_y < source.middle
        label = Label(source.right + 4 + LANE_PADDING, source.middle + (13 if climbs else -5), "start", (edge.label,))
    elif edge.label:
        inside = drawing.node(edge.target).group is not None
        falls = points[-2][1] < end_y
        y = end_y + 13 if falls else end_y - 5
        label = Label(target.x - (10 + LANE_PADDING if inside else 12), y, "end", (edge.label,))
    return Route(tuple(points), label)


def follow(edge: Edge, drawing: Drawing, layers: Layered, boxes: dict[str, Box]) -> Route:
    """From an encoder to its average in the same column: straight when they are neighbours, else around at the right.

    Of all arrows to the runs of one average, one has the label: the first that is straight, if any is.
    """
    source, target = boxes[edge.source], boxes[edge.target]
    same = [e for e in drawing.edges if e.kind == edge.kind and _name(drawing, e) == _name(drawing, edge)]
    labelled = next((e for e in same if abs(_steps(e, layers)) == 1), same[0]) == edge
    steps = _steps(edge, layers)
    if abs(steps) == 1:
        x = source.x + FOLLOW_X
        start_y, end_y = (source.bottom, target.y) if steps > 0 else (source.y, target.bottom)
        lines = two_lines(edge.label)
        y = (start_y + end_y) / 2 + 3 - (len(lines) - 1) * 6
        label = Label(x + 7, y, "start", lines) if labelled else None
        return Route(((x, start_y), (x, end_y)), label, curved=False)
    # Below the middle of one and above that of the other, where arrows with values leave.
    x, shift = source.right + AROUND, 10.0 if steps > 0 else -10.0
    start_y, end_y = source.middle + shift, target.middle - shift
    label = Label(target.x + 2, target.y - 4, "start", (edge.label,)) if labelled else None
    return Route(((source.right, start_y), (x, start_y), (x, end_y), (target.right, end_y)), label, curved=False)


def _name(drawing: Drawing, edge: Edge) -> str:
    return drawing.node(edge.target).title


def _steps(edge: Edge, layers: Layered) -> int:
    """How many places the average is below its encoder."""
    source, target = (layers.of_node[id_] for id_ in (edge.source, edge.target))
    layer = layers.layers[layers.vertices[source].layer]
    return layer.index(target) - layer.index(source)


def two_lines(label: str) -> tuple[str, ...]:
    """`EMA` and its ramp below it."""
    first, _, ramp = label.partition(" ")
    return (first, ramp) if ramp else (first,)
