"""Operations that undo each other are left out.

Takes: any graph. Gives: a graph in which the complement of a complement is the mask itself, and the partner of a
partner the row itself. Guarantees: bit for bit the same values.
"""

from __future__ import annotations

from m3i_dsl.ir.graph import Equation, Graph, Value
from m3i_dsl.passes.model import Pass
from m3i_dsl.passes.rewriting import rebuilt, renamed

INVOLUTIONS = ("invert", "partner")


def cancelled_pairs(graph: Graph, batch: int = 0) -> Graph:
    """Reads through each pair; the pass dead-code drops what is then unread."""
    made: dict[str, Equation] = {}
    values: dict[str, Value] = {}
    equations: list[Equation] = []
    for equation in graph.equations:
        current = renamed(equation, values)
        before = made.get(current.arguments[0].name) if current.arguments and current.arguments[0] else None
        if current.operation in INVOLUTIONS and before is not None and before.operation == current.operation:
            original = before.arguments[0]
            assert original is not None
            values[equation.results[0].name] = original
            continue
        made |= {value.name: current for value in current.results}
        equations.append(current)
    return rebuilt(graph, equations, values)


PASS = Pass("cancelled-pairs", "exact", "invert(invert(x)) and partner(partner(x)) are x", cancelled_pairs)
