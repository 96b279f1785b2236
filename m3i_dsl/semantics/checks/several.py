"""Several inputs: each view predicts the targets of the others, so what is about one input has no meaning."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, Severity, error
from m3i_dsl.semantics.program import Objective, Program, Target


def check_several(program: Program) -> Iterator[Diagnostic]:
    """M3I0321 for what asks for one input, M3I0806 for an input that predicts nothing."""
    for objective in program.objectives:
        if objective.several:
            yield from _of_one(objective)
            for target in objective.targets:
                yield from _target(objective, target)
            yield from _predicts_nothing(objective)


def _of_one(objective: Objective) -> Iterator[Diagnostic]:
    inputs = Label(objective.settings["input"], f"{len(objective.inputs)} views are the input")
    if objective.symmetric:
        message = "several inputs have no two sides to swap"
        notes = ("each of several inputs predicts the targets of all other views, in both directions",)
        helps = ("leave `symmetric` out",)
        place = objective.settings["symmetric"]
        yield error("M3I0321", message, place, secondary=(inputs,), notes=notes, helps=helps)
    weighting = objective.weighting
    if weighting.word.compares_gradients:
        message = f"`{weighting.word.name}` compares gradients at one input representation, and here are several"
        helps = ("write `weighting likelihood` or `weighting lossnorm`",)
        yield error("M3I0321", message, weighting.span, secondary=(inputs,), helps=helps)


def _target(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    for placed in target.regularizations:
        if placed.word.queue_length():
            message = "a queue would hold each target once for each input that predicts it"
            secondary = (Label(objective.settings["input"], f"{len(objective.inputs)} views are the input"),)
            helps = ("leave `queue` out: the other targets of the batch are the negatives",)
            yield error("M3I0321", message, placed.argument("queue"), secondary=secondary, helps=helps)


def _predicts_nothing(objective: Objective) -> Iterator[Diagnostic]:
    """An input that every target is of."""
    for shown in objective.inputs:
        references = [reference for target in objective.targets for reference in target.data]
        if all(shown not in objective.predictors_of(reference) for reference in references):
            yield error(
                "M3I0806",
                f"input `{shown.view.name}` is never used: it predicts other views, and all targets are of itself",
                shown.span,
                secondary=(Label(references[0].span, "the target"),),
                helps=("leave it out, or add another view to `data`",),
                severity=Severity.WARNING,
            )
