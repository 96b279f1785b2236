"""The drawing as a mermaid flowchart, which GitHub and many editors show inside Markdown.

Takes: a `Drawing`. Gives: the text of a `flowchart LR`. Guarantees: ids are `n0`, `n1`, ... and labels are quoted with
their special characters as entities, so that any name of a recipe is safe.
"""

from __future__ import annotations

from m3i_dsl.drawing import palette, symbols
from m3i_dsl.drawing.model import Drawing, Edge, Node, NodeKind

_SHAPES: dict[NodeKind, tuple[str, str]] = {
    "data": ("[(", ")]"),
    "view": ("(", ")"),
    "field": ("(", ")"),
    "input": ("([", "])"),
    "target": ("([", "])"),
    "total": ("((", "))"),
}


def render(drawing: Drawing) -> str:
    """The flowchart."""
    ids = {node.id: f"n{index}" for index, node in enumerate(drawing.nodes)}
    lines = ["---", f"title: {_plain(drawing.name)}", "---", "flowchart LR"]
    lines += [_node(ids[node.id], node) for node in drawing.nodes if node.group is None]
    for index, group in enumerate(drawing.groups):
        lines.append(f'  subgraph g{index}["{_escape(group.label)}"]')
        lines += [f"  {_node(ids[id_], drawing.node(id_))}" for id_ in group.nodes]
        lines.append("  end")
    lines += [_edge(ids, edge) for edge in drawing.edges]
    colors = palette.of(drawing)
    for index, node in enumerate(drawing.nodes):
        color = colors.node(node)
        lines.append(f"  style n{index} fill:{color.fill},stroke:{color.stroke},color:{palette.INK}")
    for index, group in enumerate(drawing.groups):
        color = colors.group(group)
        lines.append(f"  style g{index} fill:{color.lane},stroke:{color.stroke},color:{palette.INK}")
    return "\n".join(lines) + "\n"


def _node(id_: str, node: Node) -> str:
    before, after = _SHAPES.get(node.kind, ("[", "]"))
    label = "<br/>".join(_escape(line) for line in (symbols.heading(node), *node.details) if line)
    return f'  {id_}{before}"{label}"{after}'


def _edge(ids: dict[str, str], edge: Edge) -> str:
    label = " ".join(part for part in (edge.label, "// sg" if edge.stop_gradient else "") if part)
    arrow = "-->" if edge.kind == "flow" else "-.->"
    shown = f'|"{_escape(label)}"|' if label else ""
    return f"  {ids[edge.source]} {arrow}{shown} {ids[edge.target]}"


def _escape(text: str) -> str:
    """Text inside a quoted label. `#` starts an entity in mermaid, and a backtick would start Markdown."""
    special = {'"': "quot", "#": "35", "<": "lt", ">": "gt", "&": "amp", "`": "96"}
    return "".join(f"#{special[c]};" if c in special else " " if c in "\r\n" else c for c in symbols.printable(text))


def _plain(text: str) -> str:
    """A name in the front matter: a quoted YAML string."""
    return '"' + symbols.printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
