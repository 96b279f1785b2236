"""Shapes: the prediction has the channels of the target representation."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Objective, Program, Target
from m3i_dsl.vocabulary.kinds import ImageEncoder, Predictor, WordError
from m3i_dsl.vocabulary.predictors.identity import Identity


def check_shapes(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        for target in objective.targets:
            yield from _widths(objective, target)


def _widths(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    encoder = objective.encoder.word.word
    assert isinstance(encoder, ImageEncoder)
    try:
        wanted = target.representation.word.width(target.encoder and target.encoder.word.word, encoder.shape().stride)
        given = input_width(encoder, bool(getattr(target.representation.word, "projected", False)))
        predicted = predicted_width(target.predictor.word, given, wanted)
    except WordError as fault:
        yield error("M3I0206", fault.message, target.predictor.span, helps=(fault.help,) if fault.help else ())
        return
    if wanted and predicted != wanted:
        yield error(
            "M3I0215",
            f"the prediction has {predicted} channels, the target representation {wanted}",
            target.predictor.span,
            f"B x {predicted}" if target.representation.word.form != "dense" else f"B x L x {predicted}",
            secondary=(Label(target.representation.span, f"{wanted} channels"),),
            helps=("use `predictor linear` or `mlp`, which take the target's width",),
        )


def input_width(encoder: ImageEncoder, projected: bool) -> int:
    """The channels that a predictor is given."""
    return encoder.projected_width() if projected else encoder.shape().width


def predicted_width(predictor: Predictor, given: int, wanted: int) -> int:
    """The channels of the prediction: those of the target, or what it is given for a predictor that changes nothing."""
    return given if isinstance(predictor, Identity) else predictor.output_width(wanted or given)
