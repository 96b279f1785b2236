"""What the mask tokens of all samples have in common is computed once.

Takes: any graph. Gives: a graph in which decoders compute norm, queries, keys and values of the first block once for
each position, and not for each position of each sample. Guarantees: only where a mask token depends on its position
alone: decoders whose words say so, asked about the grid of the input view and not about another view.
"""

from __future__ import annotations

from m3i_dsl.ir.graph import Equation, Graph
from m3i_dsl.passes.model import Pass
from m3i_dsl.passes.rewriting import rebuilt
from m3i_dsl.vocabulary.kinds import Predictor


def shared_queries(graph: Graph, batch: int = 0) -> Graph:
    """Marks the decoder calls."""
    return rebuilt(graph, (_marked(equation, graph) for equation in graph.equations))


def _marked(equation: Equation, graph: Graph) -> Equation:
    if equation.operation != "predict_at":
        return equation
    word = graph.module("predictors", str(equation.attribute("module"))).as_a(Predictor)
    # With the geometry of two views each sample's positions are its own.
    alike = all(geometry is None for geometry in equation.arguments[4:])
    return equation.with_attribute("shared", alike and word.shares_queries())


PASS = Pass(
    "shared-queries",
    "reassociating",
    "in the first block of a decoder, norm, queries, keys and values of mask tokens are computed once for all samples",
    shared_queries,
)
