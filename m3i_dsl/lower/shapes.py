"""Cross-check of the IR's shape rules against torch.

Takes: an executable and its rehearsal. Gives: nothing. Guarantees: every value that an equation yields has the shape
that the IR says; a disagreement is an internal error, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping

from m3i_dsl.ir.graph import Dimension
from m3i_dsl.lower.executable import Executable
from m3i_dsl.lower.rehearsal import Rehearsal, size_of


class ShapeDisagreement(AssertionError):
    """The IR and torch disagree on a shape: a bug of m3ic."""


def check_shapes(executable: Executable, rehearsal: Rehearsal, categories: Mapping[str, int]) -> None:
    """Raises ShapeDisagreement."""
    names = {value.name: value for equation in executable.graph.equations for value in equation.results}
    classes = frozenset(categories.values())
    for name, shape in rehearsal.shapes.items():
        type_ = names[name].type
        sizes = zip(type_.dimensions, shape, strict=False)
        fitting = all(_fits(dimension, found, rehearsal.batch, classes) for dimension, found in sizes)
        if len(shape) != len(type_.dimensions) or not fitting:
            raise ShapeDisagreement(f"%{name}: the IR says {type_} with B = {rehearsal.batch}, torch {shape}")


def _fits(dimension: Dimension, size: int, batch: int, categories: frozenset[int]) -> bool:
    """Each class table has the categories of its own data."""
    return size in categories if dimension == "C" else size == size_of(dimension, batch)
