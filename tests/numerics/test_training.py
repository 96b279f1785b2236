"""Three optimizer steps of every recipe, with its average, against the same written by hand in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from m3i_dsl.data.stream import Stream
from m3i_dsl.testing.comparison import agree, agree_all
from tests.numerics.methods import METHODS
from tests.numerics.recipes import ROOT, compiled, fresh, recipe_names, wide
from tests.numerics.training import STEPS, State, train, train_by_hand

NOISE = 1e-12
"""Adam divides a gradient by its own size, so that where it is rounding noise a step is noise times lr / 1e-8."""

UNFELT = {name: {"encoders.image.model.norm.bias"} for name in ("barlow_twins", "simclr", "vicreg")}
"""Shifts that the batch norm behind them takes out: their gradient is zero but for rounding."""


def agree_states(measured: State, expected: State) -> None:
    """Raises Disagreement unless both runs ended the same."""
    losses = [torch.tensor(state.losses, dtype=torch.float64) for state in (measured, expected)]
    agree("losses", losses[0], losses[1])
    agree_all("parameter", measured.parameters, expected.parameters, NOISE)
    agree_all("buffer", measured.buffers, expected.buffers, NOISE)


def batches(name: str) -> list[dict[str, Tensor]]:
    executable = compiled(name).executable
    stream = Stream(executable.program, executable.inputs, base=ROOT)
    return [wide(batch.inputs) for batch in stream.batches(0, STEPS)]


@pytest.mark.parametrize("name", recipe_names())
def test_three_steps_are_those_of_the_reference(name: str) -> None:
    executable, given = fresh(compiled(name).executable), batches(name)
    measured = train(executable, given)
    agree_states(measured, train_by_hand(executable, METHODS[name], given))
    before = dict(executable.module.named_parameters())
    moved = {key for key, value in measured.parameters.items() if not torch.equal(value, before[key])}
    trained = {key for key, parameter in before.items() if parameter.requires_grad}
    moving = {encoder.name for encoder in executable.program.encoders.values() if encoder.momentum is not None}
    averaged = {key for key in before if key.split(".")[1] in moving}
    assert moved | UNFELT.get(name, set()) == trained | averaged
