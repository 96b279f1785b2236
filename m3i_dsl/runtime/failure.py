"""The diagnostic for a step that was not finite.

Takes: what `locate` found. Gives: M3I0701 at the target's place in the recipe, with the node, its line, where the
last good state is, and what to try. Guarantees: the headline names the target; nothing is guessed that was not found.
"""

from __future__ import annotations

from pathlib import Path

from m3i_dsl.diagnostics import Diagnostic, error
from m3i_dsl.runtime.faults import NON_FINITE
from m3i_dsl.runtime.locate import Culprit
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import Span


def non_finite(program: Program, step: int, culprit: Culprit, kept: Path | None) -> Diagnostic:
    """`step` is the failing step (0-based), `kept` the checkpoint with the state before it; None if that is not finite
    either.
    """
    names = " and ".join(f"`{target}`" for target in culprit.targets)
    if culprit.parameter is not None:
        subject = f"the gradient of target {names}" if names else "the gradient of the total loss"
    else:
        subject = f"the loss of target {names}" if names else "the total loss"
    notes = [f"weights, averages and optimizer are those before this step: `{kept}`"]
    if kept is None:
        notes = ["the step before made weights that are not finite: the last checkpoint is from before that"]
    if culprit.node is not None:
        what = (
            "the batch itself is not finite: input"
            if culprit.is_input
            else "the first non-finite number is made by node"
        )
        notes.insert(0, f"{what} `{culprit.node}`" + (f", {culprit.line}" if culprit.line else ""))
    if culprit.parameter is not None:
        notes.insert(0, f"the first parameter with a non-finite gradient is `{culprit.parameter}`")
    if not culprit.targets and culprit.node is None and culprit.parameter is None:
        notes.insert(0, "the same step, run again, is finite: the device does not compute the same twice")
    return error(
        NON_FINITE,
        f"{subject} is not finite at step {step + 1}",
        place_of(program, culprit.targets[0] if culprit.targets else None),
        "this target" if culprit.targets else "",
        notes=notes,
        helps=(_advice(program, culprit),),
    )


def place_of(program: Program, target: str | None) -> Span:
    """The span of `objective.target`; of the objective for other losses of it; of `train` for none."""
    if target is not None:
        for objective in program.objectives:
            if target == objective.name or target.startswith(f"{objective.name}."):
                rest = target[len(objective.name) + 1 :]
                return next((t.span for t in objective.targets if t.name == rest), objective.span)
    return program.training.span


def _advice(program: Program, culprit: Culprit) -> str:
    if culprit.is_input:
        return "look for damaged samples in the data, or a transform that divides by zero"
    training = program.training
    options = ["lower the learning rate or lengthen the warmup"]
    if training.clip is None:
        options.append("add `clip 1` to `train`")
    if training.precision == "bf16":
        options.append("train with `precision fp32`")
    return ", ".join(options)
