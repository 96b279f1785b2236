"""The passes in their order; the only file that knows it.

Takes: a plain graph. Gives: the graph that is lowered, or every stage on the way. Guarantees: deterministic; running
the pipeline on its own result changes nothing; a pass can be left out by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from m3i_dsl.ir.graph import Graph
from m3i_dsl.passes import (
    cancelled_pairs,
    common_subexpressions,
    dead_code,
    fused_calls,
    fused_heads,
    needed_tokens,
    one_correlation,
    packed_calls,
    shared_queries,
    visible_patches,
)
from m3i_dsl.passes.model import Pass

PIPELINE: tuple[Pass, ...] = (
    cancelled_pairs.PASS,
    common_subexpressions.PASS,  # before all that counts how often a value is read
    dead_code.PASS,  # likewise: a dead reader is none
    needed_tokens.PASS,
    shared_queries.PASS,
    visible_patches.PASS,
    one_correlation.PASS,
    fused_calls.PASS,  # after all that look at the masks of calls, which it hides
    packed_calls.PASS,  # joins what is left: calls on different sizes
    fused_heads.PASS,  # after the encoders whose tokens the heads read
)

NAMES = tuple(pass_.name for pass_ in PIPELINE)


class UnknownPass(ValueError):
    """There is no pass of this name; `near` is what was perhaps meant."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no pass `{name}`")
        self.name = name
        self.near = difflib.get_close_matches(name, NAMES, n=1)


@dataclass(frozen=True, slots=True)
class Stage:
    """A pass with the graph before and after it."""

    applied: Pass
    before: Graph
    after: Graph

    @property
    def changed(self) -> bool:
        return self.before != self.after


def passes_named(names: Iterable[str]) -> tuple[Pass, ...]:
    """The passes of these names, in the order of the pipeline. Raises UnknownPass."""
    wanted = set(names)
    for name in sorted(wanted - set(NAMES)):
        raise UnknownPass(name)
    return tuple(pass_ for pass_ in PIPELINE if pass_.name in wanted)


def run(graph: Graph, batch: int, passes: Sequence[Pass] = PIPELINE) -> list[Stage]:
    """One stage for each pass."""
    stages: list[Stage] = []
    for pass_ in passes:
        after = pass_.apply(graph, batch)
        stages.append(Stage(pass_, graph, after))
        graph = after
    return stages


def optimize(graph: Graph, batch: int, passes: Sequence[Pass] = PIPELINE) -> Graph:
    """The graph after all passes."""
    stages = run(graph, batch, passes)
    return stages[-1].after if stages else graph
