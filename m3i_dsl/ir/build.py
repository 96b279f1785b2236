"""From the typed program to the IR.

Takes: a `Program`. Gives: a `Graph` in which every target is computed from scratch, as the table reads: one row at a
time. Guarantees: nothing is shared here (ir/share.py does that), so the plain graph is the reference for every later
pass. Sibling: build_target.py, one row.
"""

from __future__ import annotations

from m3i_dsl.ir.build_target import Direction, TargetBuilder
from m3i_dsl.ir.graph import Graph, Value
from m3i_dsl.ir.trace import Trace, place_of
from m3i_dsl.semantics.program import Objective, Program, Target


def build(program: Program) -> Graph:
    """The plain graph of `program`."""
    trace = Trace(place_of(program.span))
    totals = [_objective(objective, trace) for objective in program.objectives]
    with trace.at(program.span):
        loss = totals[0] if len(totals) == 1 else trace.one("add", *totals)
    trace.output("loss", loss)
    return trace.graph(program.name)


def _objective(objective: Objective, trace: Trace) -> Value:
    losses: list[Value] = []
    shared: Value | None = None
    for target in objective.targets:
        with trace.at(target.span, f"{objective.name}.{target.name}"):
            builder = TargetBuilder(trace, objective, target)
            loss = _target(builder, target)
        shared = shared or builder.input_representation
        losses.append(loss)
        trace.output(f"losses/{objective.name}.{target.name}", loss)
    assert shared is not None
    trace.output(f"representations/{objective.name}/input", shared)
    with trace.at(objective.weighting.span, objective.name):
        trace.module(
            "weightings",
            objective.name,
            objective.weighting.word,
            objective.weighting.span,
            families=" ".join(target.distribution.word.family for target in objective.targets),
            weights=" ".join(repr(target.weight) for target in objective.targets),
        )
        total, weights = trace.call("weigh", *losses, shared, module=objective.name)
    trace.output(f"weights/{objective.name}", weights)
    return total


def _target(builder: TargetBuilder, target: Target) -> Value:
    """The mean over the target's data (two captions of a mix) and the inputs that predict it.

    Summed over both directions if symmetric.
    """
    directions: list[Direction] = ["forward", "backward"] if builder.objective.symmetric else ["forward"]
    summed: list[Value] = []
    for direction in directions:
        pairs = ((r, shown) for r in target.data for shown in builder.objective.predictors_of(r))
        losses = [builder.loss(reference, shown, direction) for reference, shown in pairs]
        summed.append(losses[0] if len(losses) == 1 else builder.trace.one("mean", *losses))
    return summed[0] if len(summed) == 1 else builder.trace.one("add", *summed)
