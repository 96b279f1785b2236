"""Lints: legal, but rarely meant. The command line can leave them out (`--ignore CODE`) or deny them (`-D CODE`)."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, Severity, error
from m3i_dsl.semantics.program import EncoderDeclaration, Objective, Placed, Program, Target, TargetReference, View
from m3i_dsl.semantics.table import is_known, row_of
from m3i_dsl.vocabulary.kinds import SAMPLES, Regularization, Statistics
from m3i_dsl.vocabulary.transforms.pipeline import normalization

_DOMINATES = 100.0


def check_lints(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        yield from _unexplored(objective)
        yield from _weights(objective)
        yield from _same_view_contrast(objective)
        yield from _unpredicted_mask(objective)
        yield from _hard_bernoulli(objective)
    yield from _still_average(program)
    yield from _other_pixels(program)
    yield from _mean_of_causal(program)


def _unexplored(objective: Objective) -> Iterator[Diagnostic]:
    for target in objective.targets:
        if not is_known(objective, target) and not any(_contrasts_itself(objective, target)):
            cells = " | ".join(row_of(objective, target).cells())
            yield error(
                "M3I0801",
                f"target `{target.name}` is in no row of the instantiation table",
                target.span,
                notes=(f"it reads: {cells}",),
                severity=Severity.INFO,
            )


def _weights(objective: Objective) -> Iterator[Diagnostic]:
    if len(objective.targets) < 2:
        return
    smallest = min(objective.targets, key=lambda target: target.weight)
    for target in objective.targets:
        if target.weight >= _DOMINATES * smallest.weight:
            ratio = target.weight / smallest.weight
            yield error(
                "M3I0802",
                f"target `{target.name}` weighs {ratio:g} times `{smallest.name}`",
                target.weight_span,
                secondary=(Label(smallest.weight_span, "the smallest weight"),),
                helps=("leave the smaller one out, or use `weighting likelihood`",),
                severity=Severity.WARNING,
            )


def _same_view_contrast(objective: Objective) -> Iterator[Diagnostic]:
    for target in objective.targets:
        for reference, negatives in _contrasts_itself(objective, target):
            yield error(
                "M3I0803",
                "contrast of a view with itself: the positive needs no invariance",
                reference.span,
                secondary=(
                    Label(objective.settings["input"], "the same view"),
                    Label(negatives.span, "contrast"),
                ),
                helps=("take another view of the same image",),
                severity=Severity.WARNING,
            )


def _contrasts_itself(objective: Objective, target: Target) -> Iterator[tuple[TargetReference, Placed[Regularization]]]:
    negatives = [placed for placed in target.regularizations if placed.word.candidates == SAMPLES]
    if not negatives:
        return
    for reference in target.data:
        shown = (each for each in objective.predictors_of(target, reference) if each.shows(reference))
        if any(objective.hides(each) is None for each in shown):
            yield reference, negatives[0]


def _unpredicted_mask(objective: Objective) -> Iterator[Diagnostic]:
    mask = next((shown.mask for shown in objective.inputs if shown.mask is not None), None)
    sort, shown = ("a text", "text") if objective.of_texts else ("an image", "view")
    predicted = (
        any(given.shows(r) for given in objective.inputs for r in target.data)
        if objective.of_texts
        else target.representation.word.reads_of(target.encoder and target.encoder.word.word).views
        for target in objective.targets
    )
    if mask is None or any(predicted):
        return
    yield error(
        "M3I0804",
        f"the input is masked, but no target is of {sort}: nothing predicts what is hidden",
        mask.span,
        helps=(f"leave the mask out, or add a target of the {shown} (masking as an augmentation is legal)",),
        severity=Severity.WARNING,
    )


def _hard_bernoulli(objective: Objective) -> Iterator[Diagnostic]:
    for target in objective.targets:
        if target.distribution.word.expects_mixed_labels and objective.inputs[0].blend is None:
            yield error(
                "M3I0807",
                f"`{target.distribution.word.name}` on hard labels: DeiT-III trains it on mixed ones",
                target.distribution.span,
                helps=("write `input mixed VIEW by blend`, or `distribution boltzmann`",),
                severity=Severity.WARNING,
            )


def _still_average(program: Program) -> Iterator[Diagnostic]:
    for encoder in program.encoders.values():
        if encoder.momentum is not None and encoder.momentum.start == encoder.momentum.stop == 1:
            yield error(
                "M3I0805",
                f"`{encoder.name}` never moves: its momentum is 1",
                encoder.word.argument("momentum"),
                helps=(f"write `frozen of {encoder.of}`, or a momentum below 1",),
                severity=Severity.WARNING,
            )


def _other_pixels(program: Program) -> Iterator[Diagnostic]:
    """Weights of timm on pixels that are not normalised as those that they were trained on."""
    told: set[str] = set()
    for encoder, view in _encoded(program):
        trained = encoder.image.trained_on() if encoder.weights is None else None
        if trained is None or encoder.name in told:
            continue
        given, wanted = normalization([placed.word for placed in view.transforms]), encoder.image.statistics()
        if trained.close_to(Statistics(wanted.mean or given.mean, wanted.std or given.std)):
            continue
        told.add(encoder.name)
        mean, std = (", ".join(f"{number:.4g}" for number in numbers or ()) for numbers in (trained.mean, trained.std))
        statistics = f"mean: ({mean}), std: ({std})"
        help_ = f"end the view with `normalize({statistics})`" if encoder.trained else f"give it `{statistics}`"
        yield error(
            "M3I0809",
            f"the weights of `{encoder.name}` were trained on pixels normalised otherwise than those of `{view.name}`",
            encoder.word.argument("pretrained"),
            secondary=(Label(view.span, "the view"),),
            helps=(help_,),
            severity=Severity.WARNING,
        )


def _encoded(program: Program) -> Iterator[tuple[EncoderDeclaration, View]]:
    """The image encoders, each with the views that it is given."""
    for objective in program.objectives:
        for shown in objective.inputs:
            if isinstance(shown.view, View):
                yield objective.encoder, shown.view
        for target in objective.targets:
            if target.encoder is not None and target.encoder.word.word.as_image() is not None:
                yield from ((target.encoder, each.view) for each in target.data if each.view is not None)


def _mean_of_causal(program: Program) -> Iterator[Diagnostic]:
    for encoder in program.encoders.values():
        word = encoder.word.word.as_text()
        if encoder.of is None and word is not None and word.looks_back() and word.pool == "mean":
            yield error(
                "M3I0810",
                f"`{encoder.name}` pools the mean of tokens that have seen only what comes before them",
                encoder.word.argument("pool"),
                secondary=(Label(encoder.word.argument("causal"), "a token attends to those up to itself"),),
                helps=("write `pool: end`: the last token has seen the whole text (CLIP)",),
                severity=Severity.WARNING,
            )
