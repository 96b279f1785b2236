"""Evaluation: an evaluator finds the fields, the held-out samples and the tokens that it measures with."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.checks.geometry import shape_of
from m3i_dsl.semantics.program import AnyData, Data, Objective, Program
from m3i_dsl.semantics.training import EvaluationDeclaration
from m3i_dsl.vocabulary.kinds import TEXTS


def evaluated_data(data: AnyData) -> Data | None:
    """The source to evaluate on: the first one of a mixture with categories and held-out samples.

    Without held-out samples anywhere the first one with categories, and None without categories.
    """
    labelled = [source for source in data.sources if any(modality.of_categories for modality in source.fields.values())]
    held_out = [source for source in labelled if source.source.word.has_held_out()]
    return next(iter([*held_out, *labelled]), None)


def check_evaluation(program: Program) -> Iterator[Diagnostic]:
    """M3I0317 for what an evaluator does not find, M3I0218 for a class token that is none."""
    if program.of_images is None:
        yield from _of_no_images(program)
        return
    for evaluation in program.evaluations:
        yield from _fields(program, evaluation)
        yield from _class_token(program, evaluation)
    yield from _held_out(program)


def _of_no_images(program: Program) -> Iterator[Diagnostic]:
    for evaluation in program.evaluations:
        yield error(
            "M3I0317",
            f"`{evaluation.evaluator.word.name}` measures an encoder of images, and no objective trains one",
            evaluation.span,
            secondary=(Label(program.objectives[0].settings["input"], "the input is a text"),),
            helps=("leave it out, or add an objective whose input is a view",),
        )


def _measured(program: Program) -> Objective:
    """The objective whose encoder is measured."""
    assert program.of_images is not None, "reported by `_of_no_images`"
    return program.of_images


def _fields(program: Program, evaluation: EvaluationDeclaration) -> Iterator[Diagnostic]:
    trained = _measured(program).inputs[0].view.data
    data = evaluated_data(trained) or trained
    has_text_target = any(t.representation.word.candidates == TEXTS for o in program.objectives for t in o.targets)
    placed = evaluation.evaluator
    # Texts of the categories are made from their names, so no text field is needed: a text target is.
    missing = sorted(placed.word.needs - {"text"} - {modality.name for modality in data.fields.values()})
    if missing:
        yield error(
            "M3I0317",
            f"`{placed.word.name}` needs a {missing[0]} for each image, which data `{data.name}` does not have",
            placed.span,
            secondary=(Label(data.place, f"has {', '.join(f'`{field}`' for field in data.fields)}"),),
            helps=(f"leave it out, or name the {missing[0]} field in the source",),
        )
    elif "text" in placed.word.needs and not has_text_target:
        yield error(
            "M3I0317",
            f"`{placed.word.name}` compares images with texts, but no target is a text embedding",
            placed.span,
            helps=("leave it out, or add a target with `representation text embedding of ENCODER`",),
        )


def _class_token(program: Program, evaluation: EvaluationDeclaration) -> Iterator[Diagnostic]:
    placed, encoder = evaluation.evaluator, _measured(program).encoder
    if placed.word.pooling() == "class" and shape_of(encoder).prefix == 0:
        message = f"`{encoder.name}` has no class token to evaluate"
        secondary = (Label(encoder.word.span, "the encoder"),)
        helps = ("write `pool: mean`",)
        yield error("M3I0218", message, placed.argument("pool"), secondary=secondary, helps=helps)


def _held_out(program: Program) -> Iterator[Diagnostic]:
    trained = _measured(program).inputs[0].view.data
    data = evaluated_data(trained) or trained.sources[0]
    if program.evaluations and not data.source.word.has_held_out():
        placed = program.evaluations[0].evaluator
        which = (
            f"`{data.source.word.name}`" if data is trained else f"no source of `{trained.name}` that has categories"
        )
        verb = "does not have" if data is trained else "has"
        yield error(
            "M3I0317",
            f"`{placed.word.name}` is measured on held-out samples, which {which} {verb}",
            placed.span,
            secondary=(Label(data.place, "no `test`"),),
            helps=('name them in the source, `test: "..."`, or leave `evaluate` out',),
        )
