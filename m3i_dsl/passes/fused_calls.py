"""Calls of one encoder on several inputs become one call on a larger batch.

Takes: any graph, and the batch. Gives: a graph in which calls of the same encoder on inputs of the same shape, under
masks that leave the same number of tokens, are one call on the concatenated batch. Guarantees: only encoders that treat
each sample alone: never through batch norm, never where random numbers are drawn; only below a size at which one larger
call was measured to be faster than several smaller ones.
"""

from __future__ import annotations

from functools import partial

from m3i_dsl.ir.effects import treats_samples_alone
from m3i_dsl.ir.graph import Equation, Graph
from m3i_dsl.passes.joining import all_joined
from m3i_dsl.passes.model import Pass

LARGEST_FUSED = 800
"""Tokens of one call, batch times length, up to which fusing pays: forward and backward of two calls of a ViT-Ti on two
cores took 1.8 to 1.05 times as long as one call up to here, and 0.95 to 1.01 times above twice as many
(benchmarks/speed, `fused-calls`). A larger call fills the processor by itself and only leaves the cache."""


def fused_calls(graph: Graph, batch: int) -> Graph:
    """Fuses each group of calls at the place of its first call."""
    return all_joined(graph, partial(_fuses, batch))


def _fuses(batch: int, equation: Equation, graph: Graph) -> bool:
    """Whether a call is of an encoder on one view, and small enough."""
    if equation.operation not in ("encode", "encode_text") or not treats_samples_alone(equation, graph):
        return False
    # A call on more than the batch was fused already.
    return equation.results[0].type.dimensions[0] == "B" and batch * _tokens(equation) <= LARGEST_FUSED


def _tokens(equation: Equation) -> int:
    if equation.operation == "encode":
        return int(equation.results[0].type.dimensions[1])
    tokens = equation.arguments[0]
    assert tokens is not None
    return int(tokens.type.dimensions[1])


PASS = Pass("fused-calls", "reassociating", "small calls of one encoder are one call on a larger batch", fused_calls)
