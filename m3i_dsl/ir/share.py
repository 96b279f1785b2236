"""Sharing: no encoder runs twice on the same (view, mask).

Takes: a plain graph. Gives: an equal graph in which equal repeatable equations are one. Guarantees: only operations
that the IR declares repeatable are merged; predictors, likelihoods and weightings keep their calls; results nobody
reads are dropped.
"""

from __future__ import annotations

from dataclasses import replace

from m3i_dsl.ir.graph import Equation, Graph, Value
from m3i_dsl.ir.operations import OPERATIONS


def share(graph: Graph) -> Graph:
    """Merges equal equations from top to bottom, encoder calls that differ in taps only included."""
    taps = _widest_taps(graph)
    known: dict[tuple[object, ...], tuple[Value, ...]] = {}
    renamed: dict[str, Value] = {}
    equations: list[Equation] = []
    for equation in graph.equations:
        arguments = tuple(value and renamed.get(value.name, value) for value in equation.arguments)
        current = replace(equation, arguments=arguments)
        if current.operation == "encode":
            current = _with_taps(current, taps[_encode_key(current)], renamed)
        if not OPERATIONS[current.operation].repeatable:
            equations.append(current)
            continue
        key = (current.operation, arguments, current.attributes)
        if key in known:
            for old, new in zip(equation.results, _aligned(equation, known[key]), strict=True):
                renamed[old.name] = new
        else:
            known[key] = current.results
            equations.append(current)
    outputs = tuple((name, renamed.get(value.name, value)) for name, value in graph.outputs)
    return _numbered(_without_unread(replace(graph, equations=tuple(equations), outputs=outputs)))


def encoder_calls(graph: Graph) -> int:
    """How often a step runs an encoder."""
    return sum(equation.operation in ("encode", "encode_text") for equation in graph.equations)


def _encode_key(equation: Equation) -> tuple[object, ...]:
    others = tuple(item for item in equation.attributes if item[0] != "taps")
    return equation.arguments, others


def _widest_taps(graph: Graph) -> dict[tuple[object, ...], int]:
    """The largest number of taps asked of each encoder call, by its arguments after sharing."""
    widest: dict[tuple[object, ...], int] = {}
    renamed: dict[str, Value] = {}
    known: dict[tuple[object, ...], Value] = {}
    for equation in graph.equations:
        arguments = tuple(value and renamed.get(value.name, value) for value in equation.arguments)
        current = replace(equation, arguments=arguments)
        if equation.operation == "encode":
            key = _encode_key(current)
            widest[key] = max(widest.get(key, 0), int(equation.attribute("taps")))
        elif OPERATIONS[equation.operation].repeatable:
            key = (equation.operation, arguments, equation.attributes)
            first = known.setdefault(key, equation.results[0])
            renamed[equation.results[0].name] = first
    return widest


def _with_taps(equation: Equation, taps: int, renamed: dict[str, Value]) -> Equation:
    """The same call yielding `taps` block outputs beside its features."""
    if int(equation.attribute("taps")) == taps:
        return equation
    features = equation.results[0]
    batch, length, width = features.type.dimensions
    name = f"{features.name}_taps"
    tapped = Value(name, replace(features.type, dimensions=(batch, taps, length, width)))
    attributes = tuple((key, taps if key == "taps" else value) for key, value in equation.attributes)
    return replace(equation, results=(features, tapped), attributes=attributes)


def _aligned(equation: Equation, results: tuple[Value, ...]) -> tuple[Value, ...]:
    """The results of a shared call that stand for those of `equation` (which may have asked for no taps)."""
    return results[: len(equation.results)]


def _without_unread(graph: Graph) -> Graph:
    """Drops equations, inputs and modules that no output depends on."""
    read = {value.name for _, value in graph.outputs}
    kept: list[Equation] = []
    for equation in reversed(graph.equations):
        if any(value.name in read for value in equation.results):
            kept.append(equation)
            read.update(value.name for value in equation.arguments if value is not None)
    inputs = tuple(input_ for input_ in graph.inputs if input_.value.name in read)
    return replace(graph, equations=tuple(reversed(kept)), inputs=inputs)


def _numbered(graph: Graph) -> Graph:
    """Numbers the values of equations from 0 in order."""
    names: dict[str, Value] = {}
    equations: list[Equation] = []
    for equation in graph.equations:
        for value in equation.results:
            names[value.name] = Value(str(len(names)), value.type)
        equations.append(
            replace(
                equation,
                results=tuple(names[value.name] for value in equation.results),
                arguments=tuple(value and names.get(value.name, value) for value in equation.arguments),
            )
        )
    outputs = tuple((name, names.get(value.name, value)) for name, value in graph.outputs)
    return replace(graph, equations=tuple(equations), outputs=outputs)
