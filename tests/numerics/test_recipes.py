"""Every recipe against its hand-written reference in float64: losses, gradients, buffers."""

from __future__ import annotations

import functools

import pytest
from torch import Tensor

from m3i_dsl.lower.executable import Executable
from tests.numerics.comparison import Result, compare, expect
from tests.numerics.methods import METHODS
from tests.numerics.recipes import batch_at, compiled, fresh, plain_executable, recipe_names

NAMES = recipe_names()


@functools.cache
def case(name: str) -> tuple[Executable, Result, dict[str, Tensor]]:
    """The executable, what its reference yields, and the batch."""
    executable = fresh(compiled(name).executable)
    batch = batch_at(executable.program, executable)
    return executable, expect(executable, METHODS[name], batch), batch


def test_every_recipe_has_a_reference_and_every_reference_a_recipe() -> None:
    assert sorted(METHODS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_the_reference(name: str) -> None:
    executable, expected, batch = case(name)
    compare(executable, expected, batch)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_before_sharing_is_the_reference(name: str) -> None:
    executable, expected, batch = case(name)
    plain = fresh(plain_executable(compiled(name)))
    assert plain.inputs == executable.inputs
    compare(plain, expected, batch)
