"""Modules and optimizers as tensors by name, and back.

Takes: a module, alone or sharded by `fully_shard`, and its optimizer. Gives: their live tensors under the names of the
recipe's module, so that a moment of a weight is found by the weight's name, whatever the order of parameters, the
number of processes and the way they share the module; what is no tensor as JSON. Guarantees: each tensor once; putting
back either fits name by name, dtype by dtype and shape by shape, or is refused before anything is changed.

torch.distributed.checkpoint.state_dict learns the layout of an optimizer that has not stepped yet by a step with zero
gradients, which lazy and adaptive optimizers need not survive to the bit; here the layout is that of the parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from m3i_dsl.runtime.checkpoints.content import Json, described

WEIGHTS = "weights/"
MOMENTS = "optimizer/"
GROUPS = "groups/"


# --- modules ----------------------------------------------------------------------------------------------------------


def module_tensors(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The live tensors of the state dict, each once; and, for those that are shared, other name -> first name."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[int, str] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"`{name}` of the module's state is a {type(tensor).__name__}, and only tensors are saved")
        original = first.setdefault(id(tensor), name)
        if original == name:
            tensors[name] = tensor.detach()
        else:
            aliases[name] = original
    return tensors, aliases


def require_same(found: Mapping[str, Tensor], saved: Mapping[str, str]) -> None:
    """Raises ValueError that names the first tensors that are missing, left over, or of another shape or dtype."""
    problems = [f"`{name}` is not in the checkpoint" for name in found if name not in saved]
    problems += [f"`{name}` is in the checkpoint only" for name in saved if name not in found]
    problems += [
        f"`{name}` is {saved[name]} in the checkpoint and {described(tensor)} in the recipe"
        for name, tensor in found.items()
        if name in saved and saved[name] != described(tensor)
    ]
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError("; ".join(problems[:3]) + more)


# --- optimizers -------------------------------------------------------------------------------------------------------


def optimizer_tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], Json]:
    """Its live tensors as `optimizer/WEIGHT/exp_avg` and `groups/0/lr`, and all else as JSON.

    Raises ValueError when it moves a parameter that is not one of the module.
    """
    names = _parameter_names(module, optimizer)
    state: Any = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}

    def plain(path: str, values: Mapping[str, Any]) -> Json:
        kept: Json = {}
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{path}/{key}"] = value.detach()
            else:
                kept[key] = {"tuple": list(value)} if isinstance(value, tuple) else value
        return kept

    states = {names[index]: plain(MOMENTS + names[index], values) for index, values in state["state"].items()}
    groups = [
        plain(f"{GROUPS}{number}", {key: value for key, value in group.items() if key != "params"})
        | {"parameters": [names[index] for index in group["params"]]}
        for number, group in enumerate(state["param_groups"])
    ]
    return tensors, {"state": states, "groups": groups}


def optimizer_places(
    module: nn.Module, optimizer: torch.optim.Optimizer, plain: Json, saved: Mapping[str, str]
) -> dict[str, Tensor]:
    """Tensors to read the saved ones into, under their names; a moment of a sharded weight is sharded like it.

    Raises ValueError when groups or parameters are not the saved ones.
    """
    names = _parameter_names(module, optimizer)
    groups = [group["parameters"] for group in plain["groups"]]
    if groups != [[names[index] for index in group["params"]] for group in optimizer.state_dict()["param_groups"]]:
        raise ValueError("the optimizer has other groups of parameters than the checkpoint")
    parameters = dict(module.named_parameters())
    places: dict[str, Tensor] = {}
    for name, description in saved.items():
        dtype, shape = _read(description)
        like = parameters.get(name[len(MOMENTS) :].rpartition("/")[0]) if name.startswith(MOMENTS) else None
        if like is not None and list(like.shape) == shape and like.ndim > 0:
            places[name] = torch.empty_like(like, dtype=dtype, requires_grad=False)
        else:
            places[name] = torch.empty(shape, dtype=dtype)
    return places


def restore_optimizer(
    module: nn.Module, optimizer: torch.optim.Optimizer, plain: Json, tensors: Mapping[str, Tensor]
) -> None:
    """Gives the optimizer the state of the checkpoint: `tensors` are the places, filled."""
    numbers = {name: index for index, name in _parameter_names(module, optimizer).items()}
    inside: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        path, _, key = name.rpartition("/")
        inside.setdefault(path, {})[key] = tensor

    def whole(path: str, values: Json) -> Json:
        found: Json = {
            key: tuple(value["tuple"]) if isinstance(value, dict) and "tuple" in value else value
            for key, value in values.items()
        }
        return found | inside.get(path, {})

    groups: list[Json] = []
    for number, group in enumerate(plain["groups"]):
        settings = {key: value for key, value in group.items() if key != "parameters"}
        groups.append(
            whole(f"{GROUPS}{number}", settings) | {"params": [numbers[name] for name in group["parameters"]]}
        )
    states = {numbers[name]: whole(MOMENTS + name, values) for name, values in plain["state"].items()}
    optimizer.load_state_dict({"state": states, "param_groups": groups})


def _parameter_names(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[int, str]:
    """The name of each parameter by its number in the optimizer's state dict."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    moved = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if any(id(parameter) not in names for parameter in moved):
        raise ValueError("the optimizer moves a parameter that is not one of the module")
    return {index: names[id(parameter)] for index, parameter in enumerate(moved)}


def _read(description: str) -> tuple[torch.dtype, list[int]]:
    """The inverse of `described`."""
    match = re.fullmatch(r"(\w+)\[([\d, ]*)\]", description)
    dtype = getattr(torch, match.group(1), None) if match else None
    if match is None or not isinstance(dtype, torch.dtype):
        raise ValueError(f"`{description}` describes no tensor")
    return dtype, [int(size) for size in match.group(2).split(",") if size.strip()]
