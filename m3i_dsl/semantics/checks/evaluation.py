"""Evaluation: an evaluator finds the fields, the held-out samples and the tokens that it measures with."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.checks.geometry import shape_of
from m3i_dsl.semantics.program import EvaluationDeclaration, Program


def check_evaluation(program: Program) -> Iterator[Diagnostic]:
    for evaluation in program.evaluations:
        yield from _fields(program, evaluation)
        yield from _class_token(program, evaluation)
    yield from _held_out(program)


def _fields(program: Program, evaluation: EvaluationDeclaration) -> Iterator[Diagnostic]:
    data = program.objectives[0].inputs[0].view.data
    has_text_target = any(t.representation.word.form == "texts" for o in program.objectives for t in o.targets)
    placed = evaluation.evaluator
    # Texts of the categories are made from their names, so no text field is needed: a text target is.
    missing = sorted(placed.word.needs - {"text"} - set(data.fields.values()))
    if missing:
        yield error(
            "M3I0317",
            f"`{placed.word.name}` needs a {missing[0]} for each image, which data `{data.name}` does not have",
            placed.span,
            secondary=(Label(data.source.span, f"has {', '.join(f'`{field}`' for field in data.fields)}"),),
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
    placed, encoder = evaluation.evaluator, program.objectives[0].encoder
    if getattr(placed.word, "pool", None) == "class" and shape_of(encoder).prefix == 0:
        message = f"`{encoder.name}` has no class token to evaluate"
        secondary = (Label(encoder.word.span, "the encoder"),)
        helps = ("write `pool: mean`",)
        yield error("M3I0218", message, placed.argument("pool"), secondary=secondary, helps=helps)


def _held_out(program: Program) -> Iterator[Diagnostic]:
    source = program.objectives[0].inputs[0].view.data.source
    if program.evaluations and not source.word.has_held_out():
        placed = program.evaluations[0].evaluator
        yield error(
            "M3I0317",
            f"`{placed.word.name}` is measured on held-out samples, which `{source.word.name}` does not have",
            placed.span,
            secondary=(Label(source.span, "no `test`"),),
            helps=('name them in the source, `test: "..."`, or leave `evaluate` out',),
        )
