"""What `m3ic train` measures rates against."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from m3i_dsl import plan
from m3i_dsl.collectives import world
from m3i_dsl.front.reporting import reporting_of
from m3i_dsl.runtime import precision
from m3i_dsl.runtime.precision import Precision
from m3i_dsl.runtime.reporting import resources
from m3i_dsl.runtime.reporting.resources import Arithmetic

CUDA = torch.device("cuda")


def settled(monkeypatch: pytest.MonkeyPatch, device: torch.device, name: str, computed: Any) -> Arithmetic | None:
    """For a recipe whose step takes 10^9 FLOPs a sample, on a device of this name that computes in `computed`."""

    def counted(executable: object) -> int:
        assert world().size == 1, "the count is of the whole batch"
        return 10**9

    monkeypatch.setattr(plan, "flops_per_sample", counted)
    monkeypatch.setattr(resources, "name_of", lambda device: name)
    monkeypatch.setattr(precision, "precision_for", lambda wanted, device: Precision(computed, device))
    executable: Any = SimpleNamespace(program=SimpleNamespace(training=SimpleNamespace(precision="bf16")))
    reporting = reporting_of(argparse.Namespace(log_to=None, workers=3), executable, device)
    assert (reporting.sinks, reporting.workers) == (None, 3)
    return reporting.arithmetic


def test_mfu_is_of_the_precision_that_is_computed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settled(monkeypatch, CUDA, "NVIDIA H100 80GB HBM3", "bf16") == Arithmetic(10**9, 989e12)
    assert settled(monkeypatch, CUDA, "NVIDIA H100 80GB HBM3", "fp32") == Arithmetic(10**9, 67e12)
    assert Arithmetic(10**9, 989e12).utilization(8 * 400_000, 8) == pytest.approx(0.4044, abs=1e-4)


def test_an_mfu_that_is_not_known_is_not_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settled(monkeypatch, torch.device("cpu"), "CPU", "fp32") is None
    assert settled(monkeypatch, CUDA, "NVIDIA GeForce RTX 9090", "bf16") is None
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert settled(monkeypatch, CUDA, "NVIDIA H200", "fp32") is None, "TF32 has a third rate"
        assert settled(monkeypatch, CUDA, "NVIDIA H200", "bf16") is not None
    finally:
        torch.set_float32_matmul_precision(before)
