"""What a pass is.

Takes: nothing. Gives: `Pass`, a name, a tier and a function of graphs. Guarantees of every pass: inputs and modules
keep their declarations, so parameters start the same; effects are kept, each as often and in the same order; what it
does to numbers is what its tier says (tests/passes checks it on every recipe).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from m3i_dsl.ir.graph import Graph

Tier = Literal["exact", "reassociating", "numerics-changing"]
"""`exact`: the same operations on the same numbers, gradients summed in another order at most. `reassociating`: equal
in exact arithmetic, rounded in other places. `numerics-changing`: never by default, and recorded in the manifest."""


@dataclass(frozen=True, slots=True)
class Pass:
    """`apply(graph, batch)`: `batch` is the recipe's batch, for decisions by size."""

    name: str
    tier: Tier
    summary: str
    apply: Callable[[Graph, int], Graph]
