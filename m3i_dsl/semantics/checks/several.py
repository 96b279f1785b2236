"""Several inputs: each view predicts the targets of the others, so what is about one input has no meaning."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, Severity, error
from m3i_dsl.semantics.program import Objective, Program, Target


def check_several(program: Program) -> Iterator[Diagnostic]:
    """M3I0321 for what asks for one input, M3I0326 for a view that no input predicts, M3I0806 for an input that
    predicts nothing.
    """
    for objective in program.objectives:
        yield from _pairs(objective)
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
    for shown in objective.inputs:
        if shown.blend is not None:
            message = "a mixed view is the whole input, and its label is no other view's"
            helps = ("leave the other inputs out",)
            yield error("M3I0321", message, shown.blend.span, secondary=(inputs,), helps=helps)
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


def _pairs(objective: Objective) -> Iterator[Diagnostic]:
    """`pairs` chooses among several inputs, and leaves at least one for each view."""
    shown = Label(objective.settings["input"], "the input" if not objective.several else "the inputs")
    for target in objective.targets:
        if "pairs" not in target.settings:
            continue
        place = target.settings["pairs"]
        if not objective.several:
            message = f"`pairs {target.pairs}` chooses among several inputs, and here is one"
            yield error("M3I0207", message, place, secondary=(shown,), helps=("leave `pairs` out",))
            continue
        for reference in target.data:
            if reference.view is None and target.pairs == "same":
                message = f"`{reference.field}` is no view, so no input is of the same one"
                secondary = (Label(place, "each input predicts its own view"),)
                helps = ("leave `pairs` out: every input predicts a field",)
                yield error("M3I0326", message, reference.span, secondary=secondary, helps=helps)
            elif reference.view is not None and not objective.predictors_of(target, reference):
                message = f"no input shows `{reference.view.name}`, and `pairs same` lets no other predict it"
                helps = (f"add `masked {reference.view.name}` to `input`, or leave `pairs` out",)
                yield error("M3I0326", message, reference.span, secondary=(shown,), helps=helps)
                break


def _predicts_nothing(objective: Objective) -> Iterator[Diagnostic]:
    """An input that no target is predicted from."""
    references = [(target, reference) for target in objective.targets for reference in target.data]
    if not all(objective.predictors_of(*each) for each in references):
        return  # reported as such
    for shown in objective.inputs:
        if all(shown not in objective.predictors_of(*each) for each in references):
            yield error(
                "M3I0806",
                f"input `{shown.view.name}` is never used: no target is predicted from it",
                shown.span,
                secondary=(Label(references[0][1].span, "the target"),),
                helps=("leave it out, or add another view to `data`",),
                severity=Severity.WARNING,
            )
