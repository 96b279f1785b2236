"""Naive == fused: the graph that runs computes what the recipe defines.

The graph in which each target is computed by itself, beside the one that the passes made of it, by the equivalence
harness: outputs, gradients, buffers, random numbers, in float64.
"""

from __future__ import annotations

from m3i_dsl.testing.case import Case
from m3i_dsl.testing.comparison import Disagreement
from m3i_dsl.testing.equivalence import assert_equivalent, observe
from m3i_dsl.testing.outcome import Failed, Property


def _check(case: Case) -> str:
    batch = case.batch()
    naive, fused = observe(case.plain(), batch), observe(case.copy(), batch)
    try:
        assert_equivalent(naive, fused)
    except Disagreement as fault:
        raise Failed(f"the graph is not the one that the recipe defines: {fault}", case.program.span) from None
    gradients = sum(gradient is not None for gradient in fused.gradients.values())
    return f"{len(fused.outputs)} outputs and {gradients} gradients; {naive.calls} encoder runs as {fused.calls}"


FUSED = Property("fused", "the graph after the passes computes what the recipe defines", _check)
