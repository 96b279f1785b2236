"""Masks go below the patch embedding.

Takes: any graph. Gives: a graph in which an encoder that drops hidden tokens embeds the patches of the visible ones
only. Guarantees: only for encoders whose patch embedding is one linear map of each patch.
"""

from __future__ import annotations

from m3i_dsl.ir.graph import Equation, Graph
from m3i_dsl.passes.model import Pass
from m3i_dsl.passes.rewriting import rebuilt
from m3i_dsl.vocabulary.kinds import Encoder, image_encoder


def visible_patches(graph: Graph, batch: int = 0) -> Graph:
    """Marks the encoder calls."""
    return rebuilt(graph, (_marked(equation, graph) for equation in graph.equations))


def _marked(equation: Equation, graph: Graph) -> Equation:
    if equation.operation != "encode" or equation.attribute("tokens") != "drop" or equation.arguments[1] is None:
        return equation
    word = graph.module("encoders", str(equation.attribute("module"))).as_a(Encoder)
    return equation.with_attribute("embed", "visible") if image_encoder(word).embeds_visible() else equation


PASS = Pass("visible-patches", "reassociating", "patches that are dropped are never embedded", visible_patches)
