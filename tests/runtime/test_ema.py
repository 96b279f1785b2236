"""Averaged encoders against the formula, one parameter at a time."""

import math

import pytest
import torch
from torch import nn

from m3i_dsl.modules.predictors.prototypes import PrototypesHead
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.vocabulary.values import Duration, Ramp
from tests.runtime.tiny import Pair


def no_steps(_: Duration) -> int:
    raise AssertionError("no ramp here has a length of its own")


def encoder(seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()


def test_parameters_follow_and_buffers_do_not() -> None:
    source, average = encoder(0), encoder(1).requires_grad_(False)
    assert isinstance(average[1], nn.BatchNorm1d) and average[1].running_mean is not None
    average[1].running_mean.fill_(5)
    before = {name: parameter.clone() for name, parameter in average.named_parameters()}
    MovingAverages([Pair(source, average, Ramp(0.9, 1.0, "cosine"))], total=10, steps=no_steps).update(step=3)
    momentum = 1 - 0.1 * (1 + math.cos(math.pi * 0.3)) / 2
    for name, parameter in source.named_parameters():
        expected = momentum * before[name] + (1 - momentum) * parameter
        torch.testing.assert_close(average.get_parameter(name), expected.detach(), rtol=1e-14, atol=1e-15)
    assert bool((average[1].running_mean == 5).all())


def test_pairs_with_different_ramps_move_by_their_own() -> None:
    source = encoder(0)
    fast, slow = encoder(1).requires_grad_(False), encoder(1).requires_grad_(False)
    start = fast[0].weight.detach().clone()
    averages = MovingAverages(
        [Pair(source, fast, Ramp.constant(0.0)), Pair(source, slow, Ramp.constant(1.0))], total=10, steps=no_steps
    )
    averages.update(0)
    assert torch.equal(fast[0].weight, source[0].weight)
    assert torch.equal(slow[0].weight, start)
    assert averages.momenta(0) == [0.0, 1.0]


def test_a_ramp_of_its_own_length_ends_there_and_stays() -> None:
    pair = Pair(encoder(0), encoder(1).requires_grad_(False), Ramp(0.5, 1.0, "linear"), Duration(4, "steps"))
    averages = MovingAverages([pair], total=10, steps=lambda over: int(over.value))
    assert [averages.momenta(step) for step in (0, 2, 4, 9)] == [[0.5], [0.75], [1.0], [1.0]]
    averages.update(9)
    before = encoder(1)[0].weight
    assert torch.equal(pair.average.get_parameter("0.weight"), before)


def test_the_flag_of_a_skipped_step_leaves_averages_alone() -> None:
    source, average = encoder(0), encoder(1).requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in average.named_parameters()}
    averages = MovingAverages([Pair(source, average, Ramp.constant(0.5))], total=10, steps=no_steps)
    averages.update(0, skip=torch.ones(()))
    assert all(torch.equal(before[name], parameter) for name, parameter in average.named_parameters())
    averages.update(0, skip=torch.zeros(()))
    flagged = {name: parameter.clone() for name, parameter in average.named_parameters()}
    average.load_state_dict({**average.state_dict(), **before})
    averages.update(0)
    for name, parameter in average.named_parameters():
        torch.testing.assert_close(flagged[name], parameter.data, rtol=1e-15, atol=1e-15)


def test_an_average_must_match_its_source_and_take_no_gradient() -> None:
    with pytest.raises(ValueError, match="differ"):
        MovingAverages([Pair(encoder(0), nn.Linear(3, 4), Ramp.constant(0.9))], total=1, steps=no_steps)
    with pytest.raises(ValueError, match="no gradient"):
        MovingAverages([Pair(encoder(0), encoder(1), Ramp.constant(0.9))], total=1, steps=no_steps)


def test_prototypes_that_are_not_averaged_are_the_trained_ones_after_each_step() -> None:
    def head(seed: int) -> PrototypesHead:
        torch.manual_seed(seed)
        return PrototypesHead(
            3, 5, layers=2, hidden=4, width=2, activation="gelu", norm_kind=None, average=False
        ).double()

    source, average = head(0), head(1).requires_grad_(False)
    name = "mlp.layers.0.weight"
    before = average.get_parameter(name).clone()
    averages = MovingAverages([Pair(source, average, Ramp.constant(0.9))], total=10, steps=no_steps)
    averages.update(0, skip=torch.zeros(()))
    assert torch.equal(average.prototypes.weight, source.prototypes.weight)
    assert averages.momenta(0) == [0.9]
    expected = 0.9 * before + 0.1 * source.get_parameter(name)
    torch.testing.assert_close(average.get_parameter(name), expected.detach())
