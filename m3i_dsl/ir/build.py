"""From the typed program to the IR.

Takes: a `Program`. Gives: a `Graph` in which every target is computed from scratch, as the table reads: one row at a
time. Guarantees: nothing is shared here (passes/ do that), so the plain graph is the reference for every later
pass. Sibling: build_target.py, one row.
"""

from __future__ import annotations

from m3i_dsl.ir.build_parts import PartsBuilder
from m3i_dsl.ir.build_target import Direction, TargetBuilder
from m3i_dsl.ir.graph import Graph, Value
from m3i_dsl.ir.trace import Trace, place_of
from m3i_dsl.semantics.program import InputReference, Objective, Program, Target


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
    masked: dict[str, Value] = {}
    parts = PartsBuilder(trace, one_input=objective.weighting.word.compares_gradients)
    for target in objective.targets:
        with trace.at(target.span, f"{objective.name}.{target.name}"):
            loss, seen = _target(TargetBuilder(parts, objective, target), target)
        shared = shared or seen[-1][1]
        masked |= {shown.view.name: z_x for shown, z_x in seen if objective.several and shown.mask is not None}
        losses.append(loss)
        trace.output(f"losses/{objective.name}.{target.name}", loss)
    assert shared is not None
    trace.output(f"representations/{objective.name}/input", shared)
    for view, z_x in masked.items():
        trace.output(f"representations/{objective.name}/input/{view}", z_x)
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
    for term, encoder in parts.terms.items():
        with trace.at(encoder.word.argument("projector"), objective.name):
            total = trace.one("add", total, term)
    return total


def _target(builder: TargetBuilder, target: Target) -> tuple[Value, list[tuple[InputReference, Value]]]:
    """The mean over the target's data (two captions of a mix) and the inputs that predict it, summed over both
    directions if symmetric, with the terms of all of them; and the z_x of each of these inputs.
    """
    directions: list[Direction] = ["forward", "backward"] if builder.objective.symmetric else ["forward"]
    summed: list[Value] = []
    inputs: list[tuple[InputReference, Value]] = []
    for direction in directions:
        pairs = ((r, shown) for r in target.data for shown in builder.objective.predictors_of(target, r))
        losses: list[Value] = []
        for reference, shown in pairs:
            loss, seen = builder.loss(reference, shown, direction)
            losses.append(loss)
            inputs.append((shown, seen.whole))
        summed.append(losses[0] if len(losses) == 1 else builder.trace.one("mean", *losses))
    summed += builder.joint()
    return (summed[0] if len(summed) == 1 else builder.trace.one("add", *summed)), inputs
