"""Whether the passes keep a recipe's step: the harness on a tiny version of it.

Takes: a checked program and passes. Gives: a verdict for each, in their order. Guarantees: float64; needs no data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from m3i_dsl.ir.build import build
from m3i_dsl.passes import Pass, run
from m3i_dsl.semantics.program import Program
from m3i_dsl.testing.case import Case, lowered
from m3i_dsl.testing.comparison import Disagreement
from m3i_dsl.testing.equivalence import assert_equivalent, observe
from m3i_dsl.testing.tiny import tiny


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one pass: it changed the graph or not, and `fault` says how the step then differs, if it does."""

    name: str
    changed: bool
    fault: str | None = None


def verify(program: Program, passes: Sequence[Pass]) -> Iterator[Verdict]:
    """Compares the graph after each pass with the plain graph, on equal weights and the same batch."""
    small = tiny(program)
    plain = build(small)
    case = Case(small, lowered(small, plain))
    batch = case.batch()
    expected = observe(case.copy(), batch)
    for stage in run(plain, small.training.batch, passes):
        if not stage.changed:
            yield Verdict(stage.applied.name, False)
            continue
        try:
            after = Case(small, lowered(small, stage.after))
            assert_equivalent(expected, observe(after.copy(), batch))
        except Disagreement as fault:
            yield Verdict(stage.applied.name, True, str(fault))
        else:
            yield Verdict(stage.applied.name, True)
