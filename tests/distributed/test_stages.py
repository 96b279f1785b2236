"""A recipe of stages on two processes: what each stage hands over is what one process hands over."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor

from m3i_dsl.front.request import TrainRequest
from m3i_dsl.front.training import train
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.handover import HANDOVER
from m3i_dsl.runtime.run_folder import stage_path
from tests.distributed.processes import ONE_WORKER, run
from tests.runtime.staged import RECIPE, STAGES, compiled

pytestmark = ONE_WORKER

TEXT = (
    RECIPE.partition("evaluate {")[0].replace("adamw(lr: 1e-2)", "sgd(lr: 0.1)").replace("steps     6", "steps     3")
)
"""Adam would make a step out of the rounding of a gradient that vanishes."""

CLOSE = 1e-5
"""Sums of float32 in another order; a stage changes weights by far more."""


def _trained(artifact: Path, path: Path, size: int) -> None:
    control = dist.group.WORLD if size > 1 else None
    rank = dist.get_rank() if size > 1 else 0
    request = TrainRequest(artifact=artifact, run=path, device="cpu", log_to=(), compile="off")
    outcome = train(request, Processes(torch.device("cpu"), rank, size, size, control=control))
    assert (outcome.status, outcome.exit_code) == ("finished", 0)


def _handed_over(path: Path, stage: str) -> dict[str, Tensor]:
    return load_file(stage_path(path, stage) / HANDOVER)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The run folders of one process and of two."""
    folder = tmp_path_factory.mktemp("staged")
    artifact = compiled(folder, TEXT)
    one, two = folder / "one", folder / "two"
    _trained(artifact, one, 1)
    run(_trained, artifact, two, 2)
    return one, two


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_of_two_processes_hands_over_what_that_of_one_does(trained: tuple[Path, Path], stage: str) -> None:
    expected, found = (_handed_over(path, stage) for path in trained)
    assert found.keys() == expected.keys() and len(found) > 10
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=CLOSE, atol=CLOSE, msg=lambda text, n=name: f"{n}: {text}")


def test_the_second_stage_goes_on_from_the_first(trained: tuple[Path, Path]) -> None:
    """Each of these differences would be seen above."""
    first, second = (_handed_over(trained[1], stage) for stage in STAGES[:2])
    moved = [float((first[name] - tensor).abs().max()) for name, tensor in second.items()]
    assert 100 * CLOSE < max(moved) < 1
