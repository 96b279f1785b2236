"""Copies to the device: what they give, and that a GPU gets them from pinned memory and out of the host's way."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from m3i_dsl.data.transfer import on_device


@pytest.mark.parametrize("values", [np.array([1.0, 2.5]), torch.tensor([1.0, 2.5]), (1.0, 2.5)])
def test_values_are_kept(values: Any) -> None:
    moved = on_device(values, torch.device("cpu"), torch.float64)
    assert moved.dtype == torch.float64
    assert moved.tolist() == [1.0, 2.5]


def test_the_type_is_kept_unless_another_is_asked_for() -> None:
    assert on_device(np.array([True, False]), torch.device("cpu")).dtype == torch.bool
    assert on_device(np.arange(3), torch.device("cpu")).dtype == torch.int64


@pytest.mark.parametrize("pinned", [False, True])
def test_a_gpu_is_given_pinned_memory(monkeypatch: pytest.MonkeyPatch, pinned: bool) -> None:
    calls: list[Any] = []

    def pin(tensor: Tensor) -> Tensor:
        calls.append("pinned")
        return tensor

    def copy(tensor: Tensor, device: torch.device, **named: Any) -> Tensor:
        calls.append((device.type, named))
        return tensor

    monkeypatch.setattr(Tensor, "is_pinned", lambda tensor: pinned)
    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(Tensor, "to", copy)
    on_device(np.arange(3), torch.device("cuda"))
    assert calls == [*([] if pinned else ["pinned"]), ("cuda", {"non_blocking": True})]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_is_not_waited_for() -> None:
    torch.cuda.set_sync_debug_mode("error")
    try:
        moved = on_device(np.arange(1000), torch.device("cuda"), torch.float32)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(moved.cpu(), torch.arange(1000.0))
