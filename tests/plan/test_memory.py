"""Memory: optimizer states and attention-free activations by hand, and beside a run with real tensors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from m3i_dsl.driver import check_file, compile_program
from m3i_dsl.plan.fake_copy import fake_copy
from m3i_dsl.plan.memory import measure_memory
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import parse_value
from tests.plan.programs import RECIPES, planned

ADAMW = "adamw(lr: lr)"
LARS = "lars(lr: lr, momentum: 0.9, weight_decay: 1.5e-6, trust_coefficient: 0.001)"
TINY = {"width": "24", "depth": "2"}


@pytest.mark.parametrize(
    ("word", "moments"),
    [(ADAMW, 2), ("lamb(lr: lr)", 2), ("sgd(lr: lr)", 1), ("lars(lr: lr)", 1), ("sgd(lr: lr, momentum: 0)", 0)],
)
def test_optimizer_states(word: str, moments: int) -> None:
    of = planned("byol", TINY, replace={LARS: word})
    trained = [p for p in of.executable.module.parameters() if p.requires_grad]
    scalars = sum(p.numel() for p in trained)
    memory = of.plan().memory
    assert memory.gradients == memory.weights == 4 * scalars
    counters = memory.optimizer - 4 * moments * scalars
    assert 0 <= counters <= 4 * len(trained)  # Adam counts its steps, once for each parameter


def test_parameters_are_the_executables() -> None:
    of = planned("m3i", TINY)
    plan = of.plan()
    total = sum(p.numel() for p in of.executable.module.parameters())
    assert plan.parameters.trained + plan.parameters.averaged + plan.parameters.frozen == total
    averages = sum(p.numel() for average in of.executable.averages for p in average.average.parameters())
    assert plan.parameters.averaged == averages


@pytest.mark.parametrize("recipe", ["supervised", "mae", "data2vec", "moco_v3"])
def test_activations_are_what_autograd_saves(recipe: str) -> None:
    """A step with real tensors: the storages that its graph holds, without weights and inputs."""
    path = RECIPES / f"{recipe}.m3i"
    settings = {name: parse_value(value, name) for name, value in TINY.items()}
    program = check_file(SourceFile(str(path), path.read_text(encoding="utf-8")), settings).required()
    executable = compile_program(program, path.parent).executable
    batch = 8
    counted = measure_memory(fake_copy(executable, batch), program.training, buckets=False)

    known = {p.untyped_storage().data_ptr() for p in (*executable.module.parameters(), *executable.module.buffers())}
    torch.manual_seed(0)
    inputs = {name: _random(tensor) for name, tensor in fake_copy(executable, batch).batch.items()}
    known |= {tensor.untyped_storage().data_ptr() for tensor in inputs.values()}
    saved: dict[int, int] = {}
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            saved[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        executable.module(**inputs)
    # Beside what autograd saves, the losses and the representations for the monitors live on.
    assert sum(saved.values()) <= counted.activations
    assert counted.activations == pytest.approx(sum(saved.values()), rel=0.15)


def _random(like: Tensor) -> Tensor:
    if like.dtype == torch.bool:
        hidden = torch.zeros(like.shape, dtype=torch.bool)
        hidden[:, : like.shape[1] * 3 // 4] = True
        return hidden
    return torch.zeros(like.shape, dtype=like.dtype) if like.dtype == torch.int64 else torch.randn(like.shape)


def test_bf16_takes_less_and_keeps_copies_of_the_weights() -> None:
    wide = planned("supervised").plan().memory
    narrow = planned("supervised", replace={"train {": "train {\n  precision bf16"}).plan().memory
    assert narrow.activations < 0.7 * wide.activations
    assert 0 < narrow.weight_copies <= wide.weights / 2
    assert wide.weight_copies == 0


def test_the_peak_is_at_least_what_cannot_be_avoided() -> None:
    memory = planned("m3i").plan().memory
    resident = memory.weights + memory.averages + memory.optimizer + memory.batch
    assert memory.peak >= resident + memory.activations
    assert memory.peak <= 1.3 * (resident + memory.activations + memory.gradients)


def test_activations_grow_with_the_samples_and_weights_do_not() -> None:
    one, two = planned("mae").plan(world=2), planned("mae").plan(world=1)
    assert two.memory.activations == pytest.approx(2 * one.memory.activations, rel=0.01)
    assert two.memory.weights == one.memory.weights
