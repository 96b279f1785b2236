"""The picture of a recipe: what goes into which encoder, what is predicted from it, and where gradients stop.

Takes: a typed `Program`. Gives: a `Drawing` (build.py), and its text in one of the formats of `FORMATS`. Guarantees:
what feeds what is read off the graph that is compiled; no torch and no data on the disk; the same program gives the
same bytes.

    model.py  the Drawing           labels.py  the short texts of words
    wiring.py  the graph, read from its losses back     boxes.py  data to projectors     build.py  rows to the total
    layers.py, order.py, place.py, routes.py, layout.py   the layered layout of the SVG
    svg.py, mermaid.py, dot.py, record.py                 one file for each format
"""

from __future__ import annotations

from collections.abc import Callable

from m3i_dsl.drawing import dot, mermaid, record, svg
from m3i_dsl.drawing.build import draw
from m3i_dsl.drawing.model import Drawing, Edge, Group, Node

FORMATS: dict[str, Callable[[Drawing], str]] = {
    "svg": svg.render,
    "mermaid": mermaid.render,
    "dot": dot.render,
    "json": record.render,
}
"""The renderers by the names that `--format` knows."""

EXTENSIONS = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot", ".json": "json"}
"""The format of a file by how its name ends."""

__all__ = ["EXTENSIONS", "FORMATS", "Drawing", "Edge", "Group", "Node", "draw"]
