"""The drawing in the language of graphviz.

Takes: a `Drawing`. Gives: the text of a `digraph`. Guarantees: ids are `n0`, `n1`, ..., every text is a quoted string,
and the nodes of a column have one rank, so that `dot -Tpdf` lays it out in the columns of the SVG.
"""

from __future__ import annotations

from m3i_dsl.drawing import palette, symbols
from m3i_dsl.drawing.model import COLUMNS, Drawing, Edge, Node, NodeKind

_SHAPES: dict[NodeKind, str] = {"data": "cylinder", "total": "circle"}


def render(drawing: Drawing) -> str:
    """The digraph."""
    ids = {node.id: f"n{index}" for index, node in enumerate(drawing.nodes)}
    colors = palette.of(drawing)
    lines = [
        f"digraph {_quoted(drawing.name)} {{",
        '  graph [rankdir="LR", fontname="Helvetica", fontsize="11", nodesep="0.25", ranksep="0.5", newrank="true"];',
        '  node [shape="box", style="rounded,filled", fontname="Helvetica", fontsize="11"];',
        '  edge [fontname="Helvetica", fontsize="10", arrowsize="0.7"];',
    ]
    lines += [f"  {_node(ids[node.id], node, colors.node(node))}" for node in drawing.nodes if node.group is None]
    for index, group in enumerate(drawing.groups):
        color = colors.group(group)
        lines.append(f"  subgraph cluster_{index} {{")
        lines.append(f'    label={_quoted(group.label)}; style="rounded,filled"; color="{color.lane}";')
        lines += [f"    {_node(ids[id_], drawing.node(id_), colors.node(drawing.node(id_)))}" for id_ in group.nodes]
        lines.append("  }")
    for index in range(len(COLUMNS)):
        column = [ids[node.id] for node in drawing.nodes if drawing.column(node) == index]
        if len(column) > 1:
            lines.append(f'  {{ rank="same"; {" ".join(f"{id_};" for id_ in column)} }}')
    lines += [f"  {_edge(ids, edge, colors.edge(drawing, edge).stroke)}" for edge in drawing.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _node(id_: str, node: Node, color: palette.Color) -> str:
    label = "\n".join(line for line in (symbols.heading(node), *node.details) if line)
    attributes = {"label": label, "fillcolor": color.fill, "color": color.stroke, "tooltip": node.about or label}
    if node.kind in _SHAPES:
        attributes |= {"shape": _SHAPES[node.kind], "style": "filled"}
    return f"{id_} {_attributes(attributes)};"


def _edge(ids: dict[str, str], edge: Edge, stroke: str) -> str:
    attributes = {"color": stroke}
    label = " ".join(part for part in (edge.label, "// sg" if edge.stop_gradient else "") if part)
    if label:
        attributes["label"] = label
    if edge.kind != "flow":
        attributes |= {"style": "dashed", "constraint": "false"}
    return f"{ids[edge.source]} -> {ids[edge.target]} {_attributes(attributes)};"


def _attributes(attributes: dict[str, str]) -> str:
    return f"[{', '.join(f'{name}={_quoted(value)}' for name, value in attributes.items())}]"


def _quoted(text: str) -> str:
    """A string of the dot language: a backslash would start an escape of its own."""
    return '"' + symbols.printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
