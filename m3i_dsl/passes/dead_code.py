"""What no loss depends on is not computed.

Takes: any graph. Gives: a graph without equations and inputs that no loss reads; outputs for monitors stay where their
value is computed anyway and go where it is not. Guarantees: calls that draw random numbers, keep statistics or
communicate stay.
"""

from __future__ import annotations

from dataclasses import replace

from m3i_dsl.ir.effects import is_observable
from m3i_dsl.ir.graph import MONITORS, Equation, Graph
from m3i_dsl.passes.model import Pass
from m3i_dsl.passes.rewriting import rebuilt


def dead_code(graph: Graph, batch: int = 0) -> Graph:
    """Keeps what is read, from the losses backwards."""
    read = {value.name for name, value in graph.outputs if not name.startswith(MONITORS)}
    kept: list[Equation] = []
    for equation in reversed(graph.equations):
        if is_observable(equation, graph) or any(value.name in read for value in equation.results):
            kept.append(equation)
            read.update(value.name for value in equation.arguments if value is not None)
            read.update(value.name for value in equation.results)
    inputs = tuple(input_ for input_ in graph.inputs if input_.value.name in read)
    outputs = tuple((name, value) for name, value in graph.outputs if value.name in read)
    return rebuilt(replace(graph, inputs=inputs, outputs=outputs), reversed(kept))


PASS = Pass("dead-code", "exact", "what no loss depends on is not computed, work for monitors only included", dead_code)
