"""A disagreement of the IR and torch on a shape is found, whatever dimension it is in."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from m3i_dsl.ir.graph import Dimension, Equation, Type
from m3i_dsl.lower.executable import Executable
from m3i_dsl.lower.meta_run import run_on_meta
from m3i_dsl.lower.shapes import ShapeDisagreement, ShapeRules
from tests.testing.recipes import case_named


def said(executable: Executable, operation: str, dimensions: tuple[Dimension, ...]) -> ShapeRules:
    """What the IR would say with another type of the first result of an operation."""

    def edited(equation: Equation) -> Equation:
        if equation.operation != operation:
            return equation
        first, *others = equation.results
        return replace(equation, results=(replace(first, type=Type("f32", dimensions)), *others))

    return ShapeRules(replace(executable.graph, equations=tuple(map(edited, executable.graph.equations))), {})


@pytest.mark.parametrize(
    ("operation", "right", "wrong"),
    [
        ("encode", ("B", 1 + 8, 24), [("2B", 9, 24), ("B", 10, 24), ("B", 9, 25), ("B", 9), ("B", 9, 24, 1)]),
        ("predict_at", ("B", 8, 192), [("B", 16, 192), ("B", 8, 191)]),
    ],
)
def test_another_type_is_a_disagreement(
    operation: str, right: tuple[Dimension, ...], wrong: list[tuple[Dimension, ...]]
) -> None:
    executable = case_named("mae").copy(torch.float32)
    value = next(e.results[0] for e in executable.graph.equations if e.operation == operation)
    right = value.type.dimensions
    run_on_meta(executable, said(executable, operation, right).check)
    for dimensions in wrong:
        assert dimensions != right
        with pytest.raises(ShapeDisagreement, match=f"%{value.name}: the IR says"):
            run_on_meta(executable, said(executable, operation, dimensions).check)
