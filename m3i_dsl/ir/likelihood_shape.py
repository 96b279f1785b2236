"""What a likelihood's module is built for.

Takes: its declaration and its calls. Gives: `LikelihoodShape`, which its word's module and effects are functions of.
Guarantees: one reading of both, for effects and lowering alike.
"""

from __future__ import annotations

from typing import cast

from m3i_dsl.ir.graph import Graph, Module
from m3i_dsl.ir.operations import LIKELIHOODS
from m3i_dsl.vocabulary.kinds import Comparison, LikelihoodShape


def likelihood_shape(module: Module, graph: Graph) -> LikelihoodShape:
    """Of a module of the section `likelihoods`: how it compares is the operation of its calls."""
    return LikelihoodShape(
        comparison=cast(Comparison, graph.calls_of(LIKELIHOODS, module.name)[0].operation),
        width=int(module.attribute("width")),
        queue=int(module.attribute("queue")),
        tokens=int(module.attribute("tokens")),
        standardized=bool(module.attribute("standardized")),
        predictions=bool(module.get("predictions")),
    )
