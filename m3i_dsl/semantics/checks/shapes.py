"""Shapes: the prediction has the channels of the target representation, and every part can be built for its shape."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.geometry import projects, sizes_differ, target_grid
from m3i_dsl.semantics.program import Objective, Program, Target
from m3i_dsl.semantics.scope import word_fault
from m3i_dsl.vocabulary.kinds import Grid, PredictorCall, WordError


def check_shapes(program: Program) -> Iterator[Diagnostic]:
    """Faults of widths, and what each predictor says of the shape that it is built for."""
    for objective in program.objectives:
        for target in objective.targets:
            yield from _widths(objective, target)


def _widths(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    shape = objective.shape
    predictor = target.predictor
    given = objective.width(projects(objective, target))
    wanted = target.representation.word.width(target.encoder and target.encoder.word.word, shape.stride)
    # A class table without a `size` of its own takes the width that the predictor yields.
    wanted = wanted or predictor.word.output_width(shape.width, 0)
    predicted = predictor.word.output_width(given, wanted)
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
        for input_grid, wanted_grid in dict.fromkeys(_grids(objective, target)):
            predictor.word.check(PredictorCall(given, wanted, input_grid, wanted_grid))
    except WordError as fault:
        yield word_fault(predictor, fault)


def _grids(objective: Objective, target: Target) -> Iterator[tuple[Grid, Grid | None]]:
    """Of the input and of the target, for each prediction."""
    for reference in target.data:
        for shown in objective.predictors_of(target, reference):
            yield objective.encoder.shape_of(shown.view).grid, target_grid(objective, target, reference.view)


def _dimensions(grid: Grid | None, width: int) -> str:
    """`B x L x D` with the values that are known."""
    return f"B x {width}" if grid is None else f"B x {grid.tokens} x {width}"
