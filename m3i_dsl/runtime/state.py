"""The random numbers that a step draws, and running something without disturbing them.

Takes: the generators of torch, numpy and Python. Gives: their state as JSON, and puts it back. Guarantees: nothing is
pickled; what was put back draws the same numbers.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class RandomState:
    """The generators that dropout and the like draw from: torch on the CPU and on the device, numpy, Python."""

    torch: Tensor
    device: Tensor | None
    numpy: Any
    python: Any

    def to_json(self) -> Json:
        name, keys, position, has_gauss, gauss = self.numpy
        version, words, gauss_next = self.python
        return {
            "torch": _hex(self.torch),
            "device": None if self.device is None else _hex(self.device),
            "numpy": [name, np.asarray(keys, dtype="<u4").tobytes().hex(), int(position), int(has_gauss), float(gauss)],
            "python": [version, list(words), gauss_next],
        }

    @classmethod
    def from_json(cls, saved: Json) -> RandomState:
        name, keys, position, has_gauss, gauss = saved["numpy"]
        version, words, gauss_next = saved["python"]
        return cls(
            torch=_unhex(saved["torch"]),
            device=None if saved["device"] is None else _unhex(saved["device"]),
            numpy=(name, np.frombuffer(bytes.fromhex(keys), dtype="<u4").astype(np.uint32), position, has_gauss, gauss),
            python=(version, tuple(words), gauss_next),
        )


def seed_random(seed: int) -> None:
    """Starts every generator from the recipe's seed."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # the legacy generator is the one that libraries draw from
    random.seed(seed)


def capture_random(device: torch.device) -> RandomState:
    """The generators as they are; no waiting for the device."""
    on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return RandomState(torch.get_rng_state(), on_device, np.random.get_state(), random.getstate())


def restore_random(state: RandomState, device: torch.device) -> None:
    """Puts the generators back; those of a device that is not there are left alone."""
    torch.set_rng_state(state.torch)
    if state.device is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state.device, device)
    np.random.set_state(state.numpy)
    random.setstate(state.python)


@contextmanager
def undisturbed(module: nn.Module, device: torch.device) -> Generator[None]:
    """Runs something with the module in evaluation mode; modes and random numbers are as before afterwards."""
    modes = [(child, child.training) for child in module.modules()]
    random = capture_random(device)
    module.eval()
    try:
        yield
    finally:
        for child, mode in modes:
            child.training = mode
        restore_random(random, device)


def _hex(tensor: Tensor) -> str:
    return tensor.numpy().tobytes().hex()


def _unhex(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
