"""What a likelihood's module is built for.

Takes: its declaration. Gives: `LikelihoodShape`, which its word's module and effects are functions of. Guarantees: one
reading of the declaration's attributes, for effects and lowering alike.
"""

from __future__ import annotations

from m3i_dsl.ir.graph import Module
from m3i_dsl.vocabulary.kinds import LikelihoodShape


def likelihood_shape(module: Module) -> LikelihoodShape:
    """Of a module of the section `likelihoods`."""
    candidates = str(module.attribute("candidates"))
    return LikelihoodShape(
        candidates=None if candidates == "none" else candidates,
        width=int(module.attribute("width")),
        queue=int(module.attribute("queue")),
        tokens=int(module.attribute("tokens")),
        standardized=bool(module.attribute("standardized")),
    )
