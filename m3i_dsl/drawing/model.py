"""The picture as data: boxes, arrows between them, and one group for each target.

Takes: nothing (build.py makes it). Gives: `Drawing`. Guarantees: plain data without positions, colours or torch; every
end of an edge and every member of a group is a node of the drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NodeKind = Literal[
    "data",
    "mixture",
    "view",
    "field",
    "mask",
    "mix",
    "call",
    "input",
    "projector",
    "predictor",
    "target",
    "loss",
    "weighting",
    "total",
]
"""What a node is: `call` is one run of an encoder, `input` is z_x, `target` is z_y."""

Branch = Literal["data", "online", "average", "frozen", "text", "target", "total"]
"""What a node or an edge belongs to, and so its colour: `target` is that of its group."""

EdgeKind = Literal["flow", "average", "copy"]
"""`flow`: a value. `average`: parameters follow by moving average. `copy`: parameters are those at the start."""

COLUMNS: tuple[tuple[str, tuple[NodeKind, ...]], ...] = (
    ("data", ("data",)),
    ("mixture", ("mixture",)),
    ("views", ("view", "field")),
    ("input", ("mask", "mix")),
    ("encoders", ("call",)),
    ("features", ("input",)),
    ("projectors", ("projector",)),
    ("predictions and targets", ("predictor", "target")),
    ("losses", ("loss",)),
    ("weighting", ("weighting",)),
    ("total", ("total",)),
)
"""The natural columns from left to right, with their headings. An edge that is a flow goes to a later column."""


@dataclass(frozen=True, slots=True)
class Node:
    """A box. `symbol` is the paper's ("f_theta", "z_x", "-log P"; "" for none), `title` the recipe's name or word.

    `details` are short lines below the title; `about` is the whole word as a recipe writes it, for a tooltip; `line` is
    the line of the recipe, 0 for what no line declares. `count` is how many alike the box stands for: the views of a
    list, and the runs of an encoder on them.
    """

    id: str
    kind: NodeKind
    branch: Branch
    symbol: str
    title: str
    details: tuple[str, ...] = ()
    about: str = ""
    line: int = 0
    group: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow. `stop_gradient` is set where no gradient goes back along it."""

    source: str
    target: str
    branch: Branch
    kind: EdgeKind = "flow"
    label: str = ""
    stop_gradient: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """The predictor, target and loss of one row of the instantiation table."""

    id: str
    label: str
    nodes: tuple[str, ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Drawing:
    """A whole picture. `notes` are sentences for below it."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = {node.id for node in self.nodes}
        assert len(known) == len(self.nodes), "node ids are unique"
        assert all({edge.source, edge.target} <= known for edge in self.edges), "edges end at nodes"
        assert all(set(group.nodes) <= known for group in self.groups), "groups hold nodes"

    def node(self, id_: str) -> Node:
        return next(node for node in self.nodes if node.id == id_)

    def of_kind(self, *kinds: NodeKind) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.kind in kinds)

    def column(self, node: Node) -> int:
        """The index in COLUMNS."""
        return next(index for index, (_, kinds) in enumerate(COLUMNS) if node.kind in kinds)
