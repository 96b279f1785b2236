"""Parameters that no loss depends on are frozen; all others keep their gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from m3i_dsl.lower.meta_run import run_on_meta
from m3i_dsl.lower.unused import freeze_unused
from m3i_dsl.testing.case import step
from tests.testing.recipes import case_named


class _Spare(nn.Module):
    """A predictor with a layer that it computes and throws away, and one that it never calls."""

    def __init__(self, inner: nn.Module, width: int) -> None:
        super().__init__()
        self.inner = inner
        self.thrown = nn.Linear(width, 1)
        self.idle = nn.Linear(width, 1)

    def forward(self, features: Tensor, *arguments: Tensor | None, **named: bool) -> Tensor:
        self.thrown(features)
        return self.inner(features, *arguments, **named)


def test_what_no_loss_depends_on_is_frozen() -> None:
    case = case_named("mae")
    executable = case.copy(torch.float32)
    predictors = executable.module.get_submodule("predictors")
    (name, inner), *_ = predictors.named_children()
    predictors.add_module(name, _Spare(inner, 24))
    start = f"predictors.{name}"
    expected = {f"{start}.{layer}.{part}" for layer in ("thrown", "idle") for part in ("weight", "bias")}
    before = {name for name, parameter in executable.module.named_parameters() if parameter.requires_grad}

    assert set(freeze_unused(executable, run_on_meta(executable))) == expected
    trained = {name for name, parameter in executable.module.named_parameters() if parameter.requires_grad}
    assert trained == before - expected
    step(executable, case.batch(dtype=torch.float32))["loss"].backward()
    assert all(executable.module.get_parameter(name).grad is not None for name in trained)
    assert freeze_unused(executable, run_on_meta(executable)) == ()


def test_a_run_on_meta_has_no_numbers_and_changes_none() -> None:
    executable = case_named("moco_v3").copy(torch.float32)
    state = {name: tensor.clone() for name, tensor in executable.module.state_dict().items()}
    meta_run = run_on_meta(executable)
    assert all(tensor.is_meta for tensor in meta_run.module.state_dict().values())
    assert all(torch.equal(tensor, state[name]) for name, tensor in executable.module.state_dict().items())
