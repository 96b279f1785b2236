"""Shapes: the prediction has the channels of the target representation, and every part can be built for its shape."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Objective, Program, Target, View
from m3i_dsl.semantics.scope import word_fault
from m3i_dsl.vocabulary.kinds import Grid, ImageEncoder, Predictor, PredictorShape, WordError
from m3i_dsl.vocabulary.predictors.identity import Identity


def check_shapes(program: Program) -> Iterator[Diagnostic]:
    """Faults of widths, and what each predictor says of the shape that it is built for."""
    for objective in program.objectives:
        for target in objective.targets:
            yield from _widths(objective, target)


def _widths(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    encoder = objective.encoder.word.word
    assert isinstance(encoder, ImageEncoder)
    shape = encoder.shape()
    predictor = target.predictor
    given = input_width(encoder, target.projected)
    wanted = target.representation.word.width(target.encoder and target.encoder.word.word, shape.stride)
    # A class table without a `size` of its own takes the width that the predictor yields.
    wanted = wanted or predictor.word.output_width(shape.width)
    predicted = predicted_width(predictor.word, given, wanted)
    grid = target_grid(objective, target)
    if predicted != wanted:
        primary, secondary = predictor.place("width", f"yields {_dimensions(grid, predicted)}")
        help_ = f"use `linear` or `mlp`, which take the {wanted} channels of the target"
        if "width" in predictor.arguments:
            help_ = f"write `width: {wanted}`, or leave it out"
        elif target.encoder is not None:
            help_ += ", or an encoder as wide as the target's"
        yield error(
            "M3I0215",
            f"the prediction has {predicted} channels, but the target representation has {wanted}",
            primary.span,
            primary.text,
            secondary=(Label(target.representation.span, f"is {_dimensions(grid, wanted)}"), *secondary),
            helps=(help_,),
        )
        return
    if sizes_differ(objective, target):  # checks/geometry.py reports it; grids cannot be compared then
        return
    try:
        predictor.word.check(
            PredictorShape(
                input_width=given,
                output_width=wanted,
                prefix=shape.prefix,
                input_grid=shape.grid,
                target_grid=grid,
                wanted=grid.tokens if grid is not None else shape.grid.tokens,
                sources=2 if objective.mix is not None and objective.mix.word.context == "all" else 1,
            )
        )
    except WordError as fault:
        yield word_fault(predictor, fault)


def sizes_differ(objective: Objective, target: Target) -> bool:
    """Whether a view does not have the size that its encoder takes."""
    encoder = objective.encoder.word.word
    assert isinstance(encoder, ImageEncoder)
    shape = encoder.shape()
    views = [reference.view for reference in target.data if reference.view is not None]
    return any(not _accepted(encoder, reference.view, objective) for reference in objective.inputs) or any(
        side % shape.stride for view in views for side in view.size
    )


def _accepted(encoder: ImageEncoder, view: View, objective: Objective) -> bool:
    """Whether the encoder takes the view: of its own size, or among several inputs of any that it can."""
    if view.size == encoder.shape().image or not objective.several:
        return view.size == encoder.shape().image
    try:
        encoder.shape_at(view.size)
    except WordError:
        return False
    return True


def _dimensions(grid: Grid | None, width: int) -> str:
    """`B x L x D` with the values that are known."""
    return f"B x {width}" if grid is None else f"B x {grid.tokens} x {width}"


def target_grid(objective: Objective, target: Target) -> Grid | None:
    """The tokens of a dense target: those of its encoder, or the patches of its view as large as the input
    encoder's.
    """
    if target.representation.word.form != "dense":
        return None
    teacher = target.encoder.word.word if target.encoder is not None else None
    if isinstance(teacher, ImageEncoder):
        return teacher.shape().grid
    encoder = objective.encoder.word.word
    assert isinstance(encoder, ImageEncoder)
    stride = encoder.shape().stride
    view = next((reference.view for reference in target.data if reference.view is not None), None)
    size = view.size if view is not None else encoder.shape().image
    return Grid(size[0] // stride, size[1] // stride)


def input_width(encoder: ImageEncoder, projected: bool) -> int:
    """The channels that a predictor is given."""
    return encoder.projected_width() if projected else encoder.shape().width


def predicted_width(predictor: Predictor, given: int, wanted: int) -> int:
    """The channels of the prediction: those of the target, or what it is given for a predictor that changes nothing."""
    return given if isinstance(predictor, Identity) else predictor.output_width(wanted or given)
