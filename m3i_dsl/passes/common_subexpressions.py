"""Equal calls on equal values are one call.

Takes: any graph. Gives: an equal graph in which equations with the same operation, arguments and attributes are one, so
that no encoder runs twice on the same view and mask, whatever number of targets read it. Guarantees: a call that draws
random numbers, keeps statistics or communicates is never merged.

Encoder calls that differ in taps only are one call with the most taps: they add a result and change none.
"""

from __future__ import annotations

from m3i_dsl.ir.effects import is_observable
from m3i_dsl.ir.graph import Equation, Graph, Value
from m3i_dsl.ir.trace import with_taps
from m3i_dsl.passes.model import Pass
from m3i_dsl.passes.rewriting import rebuilt, renamed


def common_subexpressions(graph: Graph, batch: int = 0) -> Graph:
    """Merges from top to bottom."""
    taps = _most_taps(graph)
    known: dict[tuple[object, ...], tuple[Value, ...]] = {}
    values: dict[str, Value] = {}
    equations: list[Equation] = []
    for equation in graph.equations:
        current = renamed(equation, values)
        if is_observable(current, graph):
            equations.append(current)
            continue
        key = _key(current)
        if key in known:
            for old, new in zip(equation.results, known[key], strict=False):  # which may have taps besides
                values[old.name] = new
            continue
        if taps.get(key, 0) > int(dict(current.attributes).get("taps", 0)):
            current = with_taps(current, taps[key])
        known[key] = current.results
        equations.append(current)
    return rebuilt(graph, equations, values)


def _most_taps(graph: Graph) -> dict[tuple[object, ...], int]:
    """The largest number of taps asked of each encoder call, by its key once equal values are one."""
    most: dict[tuple[object, ...], int] = {}
    values: dict[str, Value] = {}
    known: dict[tuple[object, ...], tuple[Value, ...]] = {}
    for equation in graph.equations:
        current = renamed(equation, values)
        if is_observable(current, graph):
            continue
        key = _key(current)
        for old, new in zip(current.results, known.setdefault(key, current.results), strict=False):
            values[old.name] = new
        if current.operation == "encode":
            most[key] = max(most.get(key, 0), int(current.attribute("taps")))
    return most


def _key(equation: Equation) -> tuple[object, ...]:
    attributes = tuple(item for item in equation.attributes if item[0] != "taps")
    return equation.operation, tuple(value and value.name for value in equation.arguments), attributes


PASS = Pass(
    "common-subexpressions",
    "exact",
    "equal calls on equal values are one: a representation is computed once for all its targets",
    common_subexpressions,
)
