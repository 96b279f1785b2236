"""Calls of one encoder on several inputs become one call on a larger batch.

Takes: any graph, and the batch. Gives: a graph in which calls of the same encoder on inputs of the same shape, under
masks that leave the same number of tokens, are one call on the concatenated batch. Guarantees: only encoders that treat
each sample alone: never through batch norm, never where random numbers are drawn; only below a size at which one larger
call was measured to be faster than several smaller ones.
"""

from __future__ import annotations

from collections import defaultdict

from m3i_dsl.ir.effects import treats_samples_alone
from m3i_dsl.ir.graph import Equation, Graph
from m3i_dsl.passes.common_subexpressions import common_subexpressions
from m3i_dsl.passes.joining import joined
from m3i_dsl.passes.model import Pass
from m3i_dsl.passes.rewriting import rebuilt

LARGEST_FUSED = 800
"""Tokens of one call, batch times length, up to which fusing pays: forward and backward of two calls of a ViT-Ti on two
cores took 1.8 to 1.05 times as long as one call up to here, and 0.95 to 1.01 times above twice as many
(benchmarks/speed, `fused-calls`). A larger call fills the processor by itself and only leaves the cache."""


def fused_calls(graph: Graph, batch: int) -> Graph:
    """Fuses each group of calls at the place of its first call."""
    for group in _groups(graph, batch):
        graph = joined(graph, group) or graph
    # Two groups may have joined the same inputs.
    return common_subexpressions(rebuilt(graph, graph.equations))


def _groups(graph: Graph, batch: int) -> list[tuple[Equation, ...]]:
    """Calls that may be one: of the same operation and attributes, on arguments of the same types."""
    groups: dict[tuple[object, ...], list[Equation]] = defaultdict(list)
    for equation in graph.equations:
        if equation.operation not in ("encode", "encode_text") or not treats_samples_alone(equation, graph):
            continue
        if equation.results[0].type.dimensions[0] != "B":
            continue  # fused already
        if batch * _tokens(equation) <= LARGEST_FUSED:
            types = tuple(value and value.type for value in equation.arguments)
            groups[(equation.operation, equation.attributes, types)].append(equation)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _tokens(equation: Equation) -> int:
    if equation.operation == "encode":
        return int(equation.results[0].type.dimensions[1])
    tokens = equation.arguments[0]
    assert tokens is not None
    return int(tokens.type.dimensions[1])


PASS = Pass("fused-calls", "reassociating", "small calls of one encoder are one call on a larger batch", fused_calls)
