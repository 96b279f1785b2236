"""Modules that read or draw for the global batch, one by one: as many processes, what one process computes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from timm.layers.drop import DropPath
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from m3i_dsl.collectives import gather, mean, own, world
from m3i_dsl.modules.clamp import projected_clamp
from m3i_dsl.modules.over_processes import over_all_processes
from m3i_dsl.modules.predictors.conv_decoder import ConvDecoderHead
from m3i_dsl.runtime.monitors import CollapseMonitor
from m3i_dsl.vocabulary.kinds import PredictorShape
from tests.distributed.processes import ONE_WORKER, run

pytestmark = ONE_WORKER

BATCH, CHANNELS = 8, 3


def _batch_norm(**options: object) -> nn.Module:
    return nn.BatchNorm2d(CHANNELS, **options)  # type: ignore[arg-type]


MODULES: Mapping[str, Callable[[], nn.Module]] = {
    "BatchNorm1d": lambda: nn.Sequential(nn.Flatten(2), nn.BatchNorm1d(CHANNELS)),
    "BatchNorm2d": _batch_norm,
    "BatchNorm2d without affine": lambda: _batch_norm(affine=False),
    "BatchNorm2d, cumulative": lambda: _batch_norm(momentum=None),
    "BatchNorm2d without statistics": lambda: _batch_norm(track_running_stats=False),
    "BatchNormAct2d": lambda: BatchNormAct2d(CHANNELS, act_layer=nn.GELU),
    "DropPath": lambda: DropPath(0.5),
    "Dropout": lambda: nn.Dropout(0.5),
}


@dataclass(frozen=True, slots=True)
class Passed:
    """Three steps of a module over the global batch."""

    outputs: np.ndarray
    gradients: np.ndarray
    parameters: Mapping[str, np.ndarray]
    buffers: Mapping[str, np.ndarray]
    random: np.ndarray


def passed(name: str) -> Passed:
    """Outputs and gradients of the inputs for all rows; gradients of the parameters as DDP averages them."""
    torch.manual_seed(0)
    module = over_all_processes(nn.Sequential(MODULES[name]())).double()
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        batch = torch.randn(BATCH, CHANNELS, 2, 2, dtype=torch.float64, generator=generator)
        x = own(batch).clone().requires_grad_()
        y = module(x)
        (
            y * own(torch.randn(y.shape[0] * world().size, *y.shape[1:], generator=generator)) + y.square()
        ).mean().backward()
    assert x.grad is not None
    return Passed(
        gather(y.detach()).numpy(),
        gather(x.grad / world().size).numpy(),
        {key: mean(value.grad).numpy() for key, value in module.named_parameters() if value.grad is not None},
        {key: value.numpy() for key, value in module.named_buffers()},
        torch.get_rng_state().numpy(),
    )


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_timm_computes_over_all_processes(name: str) -> None:
    expected = passed(name)
    for found in run(passed, name):
        np.testing.assert_allclose(found.outputs, expected.outputs, rtol=0, atol=1e-13)
        np.testing.assert_allclose(found.gradients, expected.gradients, rtol=0, atol=1e-13)
        assert np.array_equal(found.random, expected.random)
        for ours, wanted in ((found.parameters, expected.parameters), (found.buffers, expected.buffers)):
            assert ours.keys() == wanted.keys()
            for key, value in wanted.items():
                np.testing.assert_allclose(ours[key], value, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"DropPath"}))  # which draws its own numbers
def test_one_process_computes_as_before(name: str) -> None:
    plain = nn.Sequential(MODULES[name]()).double()
    changed = over_all_processes(copy.deepcopy(plain))
    x = torch.randn(BATCH, CHANNELS, 2, 2, dtype=torch.float64)
    outputs: list[Tensor] = []
    for module in (plain, changed):
        torch.manual_seed(3)
        outputs.append(module(x))
    assert torch.equal(*outputs)
    assert plain.state_dict().keys() == changed.state_dict().keys()
    assert all(torch.equal(value, changed.state_dict()[key]) for key, value in plain.state_dict().items())


def noise() -> np.ndarray:
    """The output of the decoder of data2vec, whose hidden positions start as noise."""
    torch.manual_seed(0)
    shape = PredictorShape(4, 4)
    decoder = ConvDecoderHead(shape, layers=1, width=4, kernel=3, groups=1, noise=0.5).double()
    hidden = torch.tensor([True, False, False, True]).expand(BATCH, -1)
    features = torch.ones(BATCH, 2, 4, dtype=torch.float64)
    return gather(decoder(own(features), own(hidden), prefix=0, rows=2, columns=2, count=2).detach()).numpy()


def let_through() -> float | None:
    """The gradient of a parameter above its bound: that of rank 0 leads out, that of both together back in."""
    x = torch.tensor(5.0, requires_grad=True)
    slope = -1.0 if world().rank == 0 and world().size > 1 else 3.0
    (slope * projected_clamp(x, -4.0, 4.0)).backward()
    return None if x.grad is None else x.grad.item()


def monitored() -> dict[str, float]:
    """All measures, of more vectors than are compared pair by pair."""
    generator = torch.Generator().manual_seed(2)
    prediction, target = torch.randn(2, BATCH, 83, 5, generator=generator, dtype=torch.float64)
    values, _ = CollapseMonitor().observe({"a/prediction": own(prediction), "a/target": own(target)})
    return values


def test_noise_is_that_of_the_global_batch() -> None:
    for found in run(noise):
        np.testing.assert_allclose(found, noise(), rtol=0, atol=1e-14)


def test_a_bound_asks_for_the_gradient_of_all() -> None:
    assert run(let_through) == [-1.0, 3.0]


@pytest.mark.parametrize("processes", [2, 4])
def test_monitors_measure_the_global_batch(processes: int) -> None:
    expected = monitored()
    assert len(expected) == 11
    for found in run(monitored, processes=processes):
        assert found == pytest.approx(expected, rel=1e-10)
