"""The small edits that passes are made of.

Takes: graphs and equations. Gives: graphs with values renamed, numbered anew, or equations typed anew. Guarantees: pure
functions; types come from the operations' shape rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from m3i_dsl.ir.effects import module_of
from m3i_dsl.ir.graph import Equation, Graph, Value
from m3i_dsl.ir.operations import OPERATIONS


def renamed(equation: Equation, values: Mapping[str, Value]) -> Equation:
    """`equation` reading other values."""
    return replace(equation, arguments=tuple(v and values.get(v.name, v) for v in equation.arguments))


def retyped(equation: Equation, graph: Graph) -> Equation:
    """`equation` with the result types that follow from its arguments."""
    operation = OPERATIONS[equation.operation]
    types = operation.results(
        tuple(v and v.type for v in equation.arguments), dict(equation.attributes), module_of(equation, graph)
    )
    results = tuple(Value(value.name, type_) for value, type_ in zip(equation.results, types, strict=True))
    return replace(equation, results=results)


def readers(graph: Graph) -> Counter[str]:
    """How often each value is read, by equations and outputs."""
    counts = Counter(value.name for equation in graph.equations for value in equation.arguments if value is not None)
    counts.update(value.name for _, value in graph.outputs)
    return counts


def fresh_names(graph: Graph) -> Callable[[], str]:
    """Names that no value of the graph has."""
    taken = {value.name for equation in graph.equations for value in equation.results}
    taken |= {input_.value.name for input_ in graph.inputs}
    numbers = (f"new{index}" for index in range(1 << 30))
    return lambda: next(name for name in numbers if name not in taken)


def rebuilt(graph: Graph, equations: Iterable[Equation], values: Mapping[str, Value] | None = None) -> Graph:
    """The graph with other equations, outputs following `values`, and all values numbered from 0 in order."""
    values = values or {}
    names: dict[str, Value] = {}
    written: list[Equation] = []
    for equation in equations:
        arguments = tuple(value and names.get(value.name, value) for value in equation.arguments)
        for value in equation.results:
            names[value.name] = Value(str(len(names)), value.type)
        written.append(replace(equation, results=tuple(names[v.name] for v in equation.results), arguments=arguments))
    final = ((name, values.get(value.name, value)) for name, value in graph.outputs)
    outputs = tuple((name, names.get(value.name, value)) for name, value in final)
    return replace(graph, equations=tuple(written), outputs=outputs)
