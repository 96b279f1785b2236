"""The colours: one for each branch, and one for each target.

Takes: a `Drawing`. Gives: the colours of its nodes, edges and groups. Guarantees: dark text on every fill and every
stroke on white has a contrast that WCAG AA asks for; the order of targets decides their colours.
"""

from __future__ import annotations

from dataclasses import dataclass

from m3i_dsl.drawing.model import Branch, Drawing, Edge, Group, Node

INK = "#1b1f24"
QUIET = "#59636e"
PAPER = "#ffffff"


@dataclass(frozen=True, slots=True)
class Color:
    """`fill` of a box, `stroke` of its border and of its arrows, `lane` behind the boxes of a target."""

    fill: str
    stroke: str
    lane: str = PAPER


BRANCHES: dict[Branch, Color] = {
    "data": Color("#f4f4f1", "#64645c"),
    "online": Color("#dbe9fa", "#235fa4"),
    "average": Color("#fde5cd", "#b0540c"),
    "frozen": Color("#e7e8ec", "#565b6b"),
    "text": Color("#dcf1de", "#2c7038"),
    "total": Color("#ffffff", "#33383f"),
}

TARGETS = (
    Color("#e9dcf7", "#7438a8", "#f8f4fc"),
    Color("#cfeceb", "#0f6b70", "#f0f9f9"),
    Color("#f9dae3", "#a92a56", "#fdf4f7"),
    Color("#f2e6b4", "#7a5d00", "#fbf8ea"),
    Color("#dce0f8", "#3a47ad", "#f4f5fd"),
    Color("#e4ebc4", "#55650f", "#f8faef"),
)


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one drawing."""

    groups: dict[str, Color]

    def node(self, node: Node) -> Color:
        if node.branch == "target":
            return self.groups[node.group or ""]
        return BRANCHES[node.branch]

    def edge(self, drawing: Drawing, edge: Edge) -> Color:
        """The colour of what it comes from; an average or a copy has that of what follows."""
        return self.node(drawing.node(edge.source if edge.kind == "flow" else edge.target))

    def group(self, group: Group) -> Color:
        return self.groups[group.id]


def of(drawing: Drawing) -> Palette:
    """The palette of `drawing`."""
    return Palette({group.id: TARGETS[index % len(TARGETS)] for index, group in enumerate(drawing.groups)})
