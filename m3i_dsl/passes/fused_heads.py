"""Calls of one head on several views become one call on a larger batch.

Takes: any graph, and the batch. Gives: a graph in which a projector, and a predictor of given tokens, sees the vectors
of all views in one call. Guarantees: only heads that treat each sample alone: never through batch norm, never where
random numbers are drawn; only below a size at which one larger call was measured to be faster than several smaller.

A head is wide and sees few vectors, so that its time is that of reading its weights; and each call more makes one more
gradient of all of them, to be added to the others.
"""

from __future__ import annotations

from functools import partial

from m3i_dsl.ir.effects import treats_samples_alone
from m3i_dsl.ir.graph import Equation, Graph
from m3i_dsl.passes.joining import all_joined
from m3i_dsl.passes.model import Pass

LARGEST_FUSED = 800
"""Vectors of one call up to which fusing pays: forward and backward of DINO's head (three layers of 4096, 4096
prototypes) took 4.2 times as long in ten calls of 16 vectors as in one, 2.2 in two of 16, 1.2 in two of 256 and 1.03
in two of 1024 on two cores (benchmarks/speed, `heads_10x16` and the like). Beyond, the vectors weigh more than the
weights, and fusing costs a copy of their gradients, which is large where there are many prototypes."""


def fused_heads(graph: Graph, batch: int) -> Graph:
    """Fuses each group of calls at the place of its first call, heads on heads after those that they read."""
    return all_joined(graph, partial(_fuses, batch))


def _fuses(batch: int, equation: Equation, graph: Graph) -> bool:
    """Whether a call is of a head that maps the vectors of one view, and few enough of them."""
    # Not of a decoder, `predict_at`: few weights, many tokens.
    heads = ("project", "predict", "predict_pooled")
    if equation.operation not in heads or not treats_samples_alone(equation, graph):
        return False
    features = equation.arguments[0]
    assert features is not None
    rows, *tokens, _ = features.type.dimensions
    length = int(tokens[0]) if tokens else 1
    return rows == "B" and batch * length <= LARGEST_FUSED


PASS = Pass("fused-heads", "reassociating", "small calls of one head are one call on a larger batch", fused_heads)
