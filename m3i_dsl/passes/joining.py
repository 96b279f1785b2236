"""Several calls become one on the concatenated batch.

Takes: a graph, and which of its calls may be joined. Gives: the graph with one call for all of one module on arguments
of the same types, in the place of the first. Guarantees: nothing that is random, stateful or collective changes its
place; what was split a moment ago is not put together again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from m3i_dsl.ir.effects import is_observable
from m3i_dsl.ir.graph import Equation, Graph, Value
from m3i_dsl.passes.common_subexpressions import common_subexpressions
from m3i_dsl.passes.rewriting import fresh_names, readers, rebuilt, retyped


def all_joined(graph: Graph, joins: Callable[[Equation, Graph], bool]) -> Graph:
    """The graph in which calls that `joins` lets are joined, those on others' results after these."""
    tried: set[tuple[str, ...]] = set()
    while (group := _next(graph, joins, tried)) is not None:
        tried.add(_names(group))
        graph = _joined(graph, group) or graph
    # Two groups may have joined the same inputs.
    return common_subexpressions(rebuilt(graph, graph.equations))


def _next(
    graph: Graph, joins: Callable[[Equation, Graph], bool], tried: set[tuple[str, ...]]
) -> tuple[Equation, ...] | None:
    """The first calls that may be one: of the same operation and attributes, on arguments of the same types."""
    groups: dict[tuple[object, ...], list[Equation]] = defaultdict(list)
    for equation in graph.equations:
        if joins(equation, graph):
            types = tuple(value and value.type for value in equation.arguments)
            groups[(equation.operation, equation.attributes, types)].append(equation)
    found = (tuple(group) for group in groups.values() if len(group) > 1)
    return next((group for group in found if _names(group) not in tried), None)


def _names(group: tuple[Equation, ...]) -> tuple[str, ...]:
    return tuple(call.results[0].name for call in group)


def _joined(graph: Graph, group: tuple[Equation, ...]) -> Graph | None:
    """The graph with one call for the group, or None when a later call waits for something that cannot move up."""
    first = graph.equations.index(group[0])
    ahead = needed_before(graph, group, first)
    if ahead is None:
        return None
    name = fresh_names(graph)
    equations = [*graph.equations[:first], *ahead]
    arguments: list[Value | None] = []
    for parts in zip(*(call.arguments for call in group), strict=True):
        if parts[0] is None:
            arguments.append(None)
            continue
        whole = _split_from(equations, parts)
        if whole is None:
            unknown = Value(name(), parts[0].type)
            equations.append(retyped(Equation((unknown,), "concat", parts, (), group[0].place), graph))
            whole = equations[-1].results[0]
        arguments.append(whole)
    wholes = tuple(Value(name(), value.type) for value in group[0].results)
    call = retyped(replace(group[0], arguments=tuple(arguments), results=wholes), graph)
    equations.append(call)
    read = readers(graph)
    for whole, *values in zip(call.results, *(old.results for old in group), strict=True):
        if not any(read[value.name] for value in values):
            continue  # such as the last tokens, where only layers before are compared
        split = Equation(tuple(values), "split", (whole,), (("count", len(group)),), group[0].place)
        equations.append(retyped(split, graph))
    skipped = {id(equation) for equation in (*group, *ahead)}
    rest = [equation for equation in graph.equations[first:] if id(equation) not in skipped]
    return _without_unread_splits(replace(graph, equations=(*equations, *rest)))


def needed_before(graph: Graph, calls: tuple[Equation, ...], first: int) -> list[Equation] | None:
    """The equations after place `first` that the later calls read, in order."""
    needed = {value.name for call in calls for value in call.arguments if value is not None}
    moved: list[Equation] = []
    for equation in reversed(graph.equations[first:]):
        if not any(value.name in needed for value in equation.results):
            continue
        if equation in calls or is_observable(equation, graph):
            return None
        moved.append(equation)
        needed.update(value.name for value in equation.arguments if value is not None)
    return moved[::-1]


def _split_from(equations: list[Equation], parts: tuple[Value | None, ...]) -> Value | None:
    """The value that was split into just these parts in this order."""
    for equation in equations:
        if equation.operation == "split" and equation.results == parts:
            return equation.arguments[0]
    return None


def _without_unread_splits(graph: Graph) -> Graph:
    read = readers(graph)
    kept = (e for e in graph.equations if e.operation != "split" or any(read[value.name] for value in e.results))
    return replace(graph, equations=tuple(kept))
