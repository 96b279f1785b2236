"""Which parameters decay, and how fast each one moves.

Takes: a module, a peak learning rate, a weight decay and a layer decay. Gives: the parameter groups of an optimizer.
A parameter is of a weighting, a token (class, register, mask or query token, by its name), a position table, a matrix
(two dimensions or more), or something else: a bias, a norm, a layer scale, a temperature. The rule of `Decayed` says
which of these decay; a weighting's never do, and form a group of their own. Guarantees: every parameter that requires a
gradient is in exactly one group; the order is that of the module, so that a saved optimizer state finds its parameters
again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from m3i_dsl.vocabulary.kinds import WordError

if TYPE_CHECKING:
    from torch import nn

Role = Literal["decayed", "exempt", "weighting"]

Decayed = Literal["matrices", "masks", "biases", "tensors", "all"]
"""What decays, each with all before it: matrices (timm, DeiT); mask tokens; tables of the bias of attention by relative
places (BEiT, SimMIM's ViT, data2vec); all tokens and position tables, which have two dimensions or more in these codes
(MAE, SiameseIM, DINO); everything (MoCo)."""

# The last part of a parameter's name. timm: cls_token, reg_token, dist_token, pos_embed, relative_position_bias_table.
_TOKEN_OR_POSITION = re.compile(r"(^|_)tokens?$|^pos(ition)?(_|s$|$)|_positions?$|position_bias|^quer(y|ies)$")
_MASK_TOKEN = re.compile(r"^mask_tokens?$")
_BIAS_TABLE = re.compile(r"position_bias_table$")
_STEM = re.compile(r"(^|\.)(patch_embed|pos_embed|position\w*|embed\w*|token\w*|\w+_tokens?|stem|norm_pre)(\.|$)")
_BLOCK = re.compile(r"(?:^|\.)(?:blocks|layers|stages)\.(\d+)\.")


def parameter_groups(
    module: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    layer_decay: float | None = None,
    decayed: Decayed = "matrices",
) -> list[dict[str, Any]]:
    """Groups with `params`, `role`, `lr`, `initial_lr` (the peak rate, already layer-decayed) and `weight_decay`.

    Layer decay (BEiT): block i of an encoder of n blocks moves at lr * decay^(n - i), its stem at lr * decay^(n + 1),
    all that is in neither (the norm after the last block, projectors, predictors, tables) at lr.
    Raises WordError when nothing is to be trained.
    """
    exempt = _declared_exempt(module)
    scales = {} if layer_decay is None else _layer_scales(module, layer_decay)
    groups: dict[tuple[Role, float], dict[str, Any]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        role = _role(name, parameter.ndim, exempt, decayed)
        scale = scales.get(name, 1.0)
        group = groups.setdefault(
            (role, scale),
            {
                "params": [],
                "param_names": [],
                "role": role,
                "lr": lr * scale,
                "initial_lr": lr * scale,
                "weight_decay": weight_decay if role == "decayed" else 0.0,
            },
        )
        group["params"].append(parameter)
        group["param_names"].append(name)
    if not groups:
        raise WordError("no parameter is left to train: every encoder is frozen and nothing else has weights")
    return [_named(group) for group in groups.values()]


def all_on_fused_devices(module: nn.Module) -> bool:
    """Whether torch has fused AdamW and SGD kernels for where and in which type the parameters are."""
    return all(
        p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in module.parameters() if p.requires_grad
    )


def _named(group: dict[str, Any]) -> dict[str, Any]:
    """torch takes names as (name, parameter) pairs and keeps them in the group's `param_names`."""
    names: list[str] = group.pop("param_names")
    group["params"] = list(zip(names, group["params"], strict=True))
    return group


def _role(name: str, dimensions: int, exempt: frozenset[str], decayed: Decayed) -> Role:
    *path, last = name.split(".")
    if any("weighting" in part for part in path):
        return "weighting"
    if _MASK_TOKEN.search(last):
        decays = decayed != "matrices"
    elif _BIAS_TABLE.search(last):
        decays = decayed in ("biases", "tensors", "all")
    elif _TOKEN_OR_POSITION.search(last):
        decays = decayed in ("tensors", "all")
    elif name in exempt:
        decays = decayed == "all"
    else:
        decays = dimensions > 1 or decayed == "all"
    return "decayed" if decays else "exempt"


def _declared_exempt(module: nn.Module) -> frozenset[str]:
    """Parameters that a module itself declares through `no_weight_decay()`, timm's convention, by full name."""
    names: set[str] = set()
    parameters = dict(module.named_parameters())
    for path, child in module.named_modules():
        declare = getattr(child, "no_weight_decay", None)
        if not callable(declare):
            continue
        declared: Any = declare()
        prefix = f"{path}." if path else ""
        names.update(
            name
            for name in parameters
            if name.startswith(prefix)
            and any(name == prefix + given or name.endswith("." + given) for given in declared)
        )
    return frozenset(names)


def _layer_scales(module: nn.Module, decay: float) -> dict[str, float]:
    """The factor on the learning rate of each parameter of `module.encoders`, by full name."""
    scales: dict[str, float] = {}
    for path, encoder in module.named_modules():
        if re.fullmatch(r"encoders\.\w+", path):
            layers = _layers(encoder)
            outermost = max(layers.values(), default=-1) + 1
            scales.update({f"{path}.{name}": decay ** (outermost - layer) for name, layer in layers.items()})
    return scales


def _layers(encoder: nn.Module) -> dict[str, int]:
    """Depth of each parameter in the backbone: 0 for the stem, i + 1 for block i. Others (a projector) are left out."""
    for path, child in encoder.named_modules():
        matcher = getattr(child, "group_matcher", None)
        if callable(matcher):
            prefix = f"{path}." if path else ""
            layers = {prefix + name: layer for name, layer in _timm_layers(child).items()}
            return layers | {name: 0 for name, _ in encoder.named_parameters(recurse=False)}
    found: dict[str, int] = {}
    for name, _ in encoder.named_parameters():
        block = _BLOCK.search(name)
        if name.startswith("projector"):
            continue
        if block:
            found[name] = int(block.group(1)) + 1
        elif _STEM.search(name):
            found[name] = 0
    return found


def _timm_layers(backbone: Any) -> Mapping[str, int]:
    """timm counts the norm after the last block to that block, and a bias that all blocks share to the stem; BEiT both
    to what follows the blocks.
    """
    from timm.models import group_parameters

    layers: Any = group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)
    return {name: layer for name, layer in layers.items() if not name.startswith(("norm.", "rel_pos_bias."))}
