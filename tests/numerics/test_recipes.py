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


def test_the_batch_has_what_could_go_wrong() -> None:
    """Mirrored and unmirrored pairs of views, partners of other categories, captions that repeat."""
    _, _, batch = case("m3i")
    mirrored = batch["view1_geometry"][:, 4] != batch["view2_geometry"][:, 4]
    assert mirrored.any()
    assert not mirrored.all()
    labels = batch["images_category"]
    assert (labels[0::2] != labels[1::2]).any()
    _, _, batch = case("clip")
    captions = {tuple(row.tolist()) for row in batch["images_text"]}
    assert 1 < len(captions) < len(batch["images_text"])


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
