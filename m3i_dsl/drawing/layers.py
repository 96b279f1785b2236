"""A drawing as layers: each column of boxes, with a place kept free where an arrow passes between boxes.

Takes: a `Drawing`. Gives: `Layered`, vertices in layers and segments between neighbouring layers. Guarantees: every
flow is a chain of segments from its source to its target, so that order.py and place.py need not know how far an arrow
goes. Columns that the drawing does not use are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from m3i_dsl.drawing.model import COLUMNS, Drawing


@dataclass(frozen=True, slots=True)
class Vertex:
    """A box, or (node None) the passage of an arrow through its layer."""

    layer: int
    node: str | None
    group: int | None
    """The index of the target that the box belongs to; the targets are stacked in the recipe's order."""


@dataclass(slots=True)
class Layered:
    """`layers` has the vertices of each layer from top to bottom; `chains` those of each flow, by its index in the
    drawing's edges. `followers` are (encoder run, run of its average or copy), which stand in one layer.
    """

    columns: list[int]
    vertices: list[Vertex] = field(default_factory=list[Vertex])
    layers: list[list[int]] = field(default_factory=list[list[int]])
    chains: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    followers: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    of_node: dict[str, int] = field(default_factory=dict[str, int])

    def segments(self) -> list[tuple[int, int]]:
        """The steps of all chains, each once for each chain that takes it."""
        return [step for chain in self.chains.values() for step in pairwise(chain)]

    def add(self, vertex: Vertex) -> int:
        self.vertices.append(vertex)
        self.layers[vertex.layer].append(len(self.vertices) - 1)
        return len(self.vertices) - 1


def layered(drawing: Drawing) -> Layered:
    """The layers of `drawing`, in the recipe's order."""
    columns = sorted({drawing.column(node) for node in drawing.nodes})
    groups = {group.id: index for index, group in enumerate(drawing.groups)}
    found = Layered([column for column in columns if COLUMNS[column][1]])
    found.layers = [[] for _ in columns]
    for node in drawing.nodes:
        layer = columns.index(drawing.column(node))
        group = None if node.group is None else groups[node.group]
        found.of_node[node.id] = found.add(Vertex(layer, node.id, group))
    for index, edge in enumerate(drawing.edges):
        source, target = found.of_node[edge.source], found.of_node[edge.target]
        if edge.kind != "flow":
            found.followers.append((source, target))
            continue
        first, last = found.vertices[source].layer, found.vertices[target].layer
        assert first < last, "a flow goes to a later column"
        passages = [found.add(Vertex(layer, None, None)) for layer in range(first + 1, last)]
        found.chains[index] = [source, *passages, target]
    return found
