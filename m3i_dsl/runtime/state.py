"""What training carries from one step to the next, as tensors and JSON.

Takes: modules, optimizers and random number generators. Gives: tensors by name and plain values, and puts them back.
Guarantees: nothing is pickled; what was put back continues with the same bits.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Json = dict[str, Any]


# --- random numbers ---------------------------------------------------------------------------------------------------


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


# --- modules ----------------------------------------------------------------------------------------------------------


def module_tensors(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The state dict on the CPU, each tensor once; and, for those that are shared, other name -> first name."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[int, str] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        original = first.setdefault(id(tensor), name)
        if original == name:
            tensors[name] = tensor.detach().to("cpu").contiguous()
        else:
            aliases[name] = original
    return tensors, aliases


def load_module(module: nn.Module, tensors: Mapping[str, Tensor], aliases: Mapping[str, str]) -> None:
    """Raises RuntimeError when a tensor is missing, left over, or of another shape or dtype."""
    complete = dict(tensors) | {name: tensors[original] for name, original in aliases.items()}
    for name, tensor in module.state_dict().items():
        if name in complete and tensor.dtype != complete[name].dtype:
            raise RuntimeError(f"{name} is {complete[name].dtype} in the checkpoint and {tensor.dtype} in the recipe")
    module.load_state_dict(complete)


# --- optimizers -------------------------------------------------------------------------------------------------------


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], Json]:
    """The state dict of an optimizer: its tensors by path (`state/3/exp_avg`, `group/0/step`), and all else as JSON."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}

    def plain(path: str, values: Mapping[str, Any]) -> Json:
        kept: Json = {}
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{path}/{key}"] = value.detach().to("cpu").contiguous()
            else:
                kept[key] = {"tuple": list(value)} if isinstance(value, tuple) else value
        return kept

    states = {str(index): plain(f"state/{index}", values) for index, values in state["state"].items()}
    groups = [plain(f"group/{index}", values) for index, values in enumerate(state["param_groups"])]
    return tensors, {"state": states, "groups": groups}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], saved: Json) -> None:
    """Raises ValueError when groups or parameters are not the saved ones."""

    def whole(path: str, values: Json) -> Json:
        found: Json = {
            key: tuple(value["tuple"]) if isinstance(value, dict) and "tuple" in value else value
            for key, value in values.items()
        }
        prefix = f"{path}/"
        return found | {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    optimizer.load_state_dict(
        {
            "state": {int(index): whole(f"state/{index}", values) for index, values in saved["state"].items()},
            "param_groups": [whole(f"group/{index}", values) for index, values in enumerate(saved["groups"])],
        }
    )
