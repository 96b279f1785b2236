"""Family: the likelihood fits the regularization and the representation.

Sibling: batch.py, how many samples it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Objective, Placed, Program, Target
from m3i_dsl.semantics.scope import word_fault
from m3i_dsl.vocabulary.kinds import CATEGORIES, WordError
from m3i_dsl.vocabulary.word import Word, argument_text


def check_family(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        for target in objective.targets:
            yield from _candidates(target)
            yield from _forms(target)
            yield from _terms(target)
            yield from _queue(program, target)
            yield from _without_effect(objective, target)
            yield from _mixed(objective, target)


def _candidates(target: Target) -> Iterator[Diagnostic]:
    distribution = target.distribution
    representation = target.representation.word
    # What assigns prototypes has checks of its own (checks/prototypes.py).
    named = [p for p in target.regularizations if p.word.candidates is not None and not p.word.assigns]
    regularization = target.settings["regularization"]
    if not distribution.word.contrasts:
        # Without anything else that keeps z_y from collapsing, that is what is reported (checks/collapse.py).
        if (target.detached or any(p.word.penalizes for p in target.regularizations)) and not representation.chosen:
            for placed in named:
                yield error(
                    "M3I0303",
                    f"`{distribution.word.name}` never looks at `{placed.word.name}`",
                    distribution.span,
                    "compares a prediction with its own target only",
                    secondary=(Label(placed.span, "has no effect"),),
                    helps=("write `distribution boltzmann(temperature: ...)`, or leave the negatives out",),
                )
        return
    for placed in named:
        if placed.word.candidates != representation.candidates:
            yield error(
                "M3I0311",
                f"`{placed.word.name}` are no candidates for `{target.representation.word.name}`",
                placed.span,
                secondary=(Label(target.representation.span, "the target representation"),),
                helps=(f"write `regularization {representation.candidates.regularization}`",),
            )
    if representation.assigned:
        return  # they are the candidates; whether anything keeps them apart is for checks/collapse.py
    # A table that is trained and detached is M3I0316's.
    stopped = any(
        p.word.detaches or (p.word.standardizes and not representation.chosen) for p in target.regularizations
    )
    if not named and not stopped:
        yield error(
            "M3I0302",
            f"`{distribution.word.name}` has no candidate set",
            distribution.span,
            "nothing to normalise over",
            secondary=(Label(regularization, "names no negatives"),),
            notes=("the constant z_y = zh = c would reach the lowest loss",) if _learned(target) else (),
            helps=(f"write `regularization {representation.candidates.regularization}`",),
        )


def _learned(target: Target) -> bool:
    encoder = target.encoder
    return target.representation.word.trained or (encoder is not None and not encoder.frozen)


def _forms(target: Target) -> Iterator[Diagnostic]:
    word, representation = target.distribution.word, target.representation.word
    label = Label(target.representation.span, "the target representation")
    if representation.chosen and not word.contrasts:
        how = "compared as a distribution" if representation.assigned else "chosen among candidates"
        yield error(
            "M3I0304",
            f"`{representation.name}` is {how}, which `{word.name}` does not do",
            target.distribution.span,
            secondary=(label,),
            helps=("write `distribution boltzmann`",),
        )
    try:
        word.check(representation)
    except WordError as fault:
        yield replace(word_fault(target.distribution, fault, "M3I0304"), secondary=(label,))


def _terms(target: Target) -> Iterator[Diagnostic]:
    """Regularizations that do not add up."""
    empty = next((placed for placed in target.regularizations if placed.word.empty), None)
    if empty is not None and len(target.regularizations) > 1:
        other = next((placed for placed in target.regularizations if not placed.word.empty), empty)
        message = f"`{empty.word.name}` is added to `{other.word.name}`"
        secondary = (Label(other.span, "this is one"),)
        yield error("M3I0319", message, empty.span, secondary=secondary, helps=("leave it out",))
    for index, placed in enumerate(target.regularizations):
        earlier = [other for other in target.regularizations[:index] if other.word.name == placed.word.name]
        if earlier:
            message = f"`{placed.word.name}` is added twice"
            secondary = (Label(earlier[0].span, "first added here"),)
            yield error("M3I0125", message, placed.span, secondary=secondary, helps=("leave one out",))
    for placed in target.regularizations:
        if placed.word.needs_detached and not target.detached:
            name = placed.word.name
            message = f"`{name}` treats the targets as constants, but nothing stops their gradient"
            yield error("M3I0319", message, placed.span, helps=(f"write `stop gradient + {name}(...)`",))
    standardizing = [placed for placed in target.regularizations if placed.word.standardizes]
    if standardizing and not target.distribution.word.takes_standardized:
        placed = standardizing[0]
        yield error(
            "M3I0303",
            f"`{placed.word.name}` goes with `gaussian`, not with `{target.distribution.word.name}`",
            target.distribution.span,
            secondary=(Label(placed.span, "standardises both sides for a squared error"),),
            helps=("write `distribution gaussian`",),
        )
    if standardizing and target.representation.word.has_grid:
        message = f"`{standardizing[0].word.name}` correlates one vector for each image, but the target is dense"
        secondary = (Label(target.representation.span, "one vector for each token"),)
        helps = ("write `representation global feature of ENCODER`",)
        yield error("M3I0319", message, standardizing[0].span, secondary=secondary, helps=helps)


def _queue(program: Program, target: Target) -> Iterator[Diagnostic]:
    for placed in target.regularizations:
        queue = placed.word.queue_length()
        if not queue:
            continue
        if queue % program.training.batch:
            primary, secondary = placed.place("queue")
            yield error(
                "M3I0203",
                f"a queue of {queue} is not a whole number of batches of {program.training.batch}",
                primary.span,
                secondary=(Label(program.training.settings["batch"], "the batch"), *secondary),
                helps=("choose a multiple of the batch",),
            )
        if target.distribution.word.asks_both_ways():
            yield error(
                "M3I0303",
                "a queue holds targets only, so nothing can be asked in the other direction",
                target.distribution.argument("symmetric"),
                secondary=(Label(placed.argument("queue"), "the queue"),),
                helps=("leave `symmetric` out, or the queue",),
            )


def _mixed(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    """A mixed view has shares of two labels, and nothing else of two images."""
    blend = next((shown.blend for shown in objective.inputs if shown.blend is not None), None)
    if blend is not None and target.representation.word.candidates != CATEGORIES:
        yield error(
            "M3I0329",
            f"`{target.representation.word.name}` of two images has no shares, and the input shows two",
            target.representation.span,
            secondary=(Label(blend.span, "blends each image with its partner"),),
            helps=("predict a category, or write `mix(...)`, which keeps two targets",),
        )


def _without_effect(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    """Arguments that are written, but that this form of a target does not read."""
    placed: list[tuple[Placed[Word], str, str]] = []
    if target.representation.word.has_grid:
        placed.append((target.predictor, "pool", "a dense target keeps its tokens"))
        placed.extend((p, "predictions", "tokens choose among targets") for p in target.regularizations)
    else:
        placed.append((target.distribution, "tokens", "the target is one vector, not one for each token"))
        placed.extend((p, "tokens", "the target is one vector for each image") for p in target.regularizations)
    if objective.pairs_images is None or objective.mix is not None:
        placed.append((target.distribution, "labels", "each image has one label"))
    for word, name, reason in placed:
        parameter = next((p for p in word.word.parameters() if p.name == name), None)
        if parameter is None or name not in word.arguments or getattr(word.word, name) == parameter.default:
            continue
        written = argument_text(getattr(word.word, name), parameter.type)
        yield error(
            "M3I0207",
            f"`{name}: {written}` of `{word.word.name}` has no effect here",
            word.argument(name),
            reason,
            secondary=(Label(target.representation.span, "the target representation"),),
            helps=("leave it out",),
        )
