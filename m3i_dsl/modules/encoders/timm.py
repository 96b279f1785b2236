"""From the word `timm` to an adapter around a timm model, and its weights.

Takes: the word, its catalogue entry and its shape. Gives: the adapter of its family. Guarantees: no dropout or
stochastic depth that the recipe does not ask for; batch norms and random numbers are those of the global batch;
parameters outside of the features (heads) do not require a gradient, and stay, so that the model's state dict is timm's
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import timm
import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table_simple
from torch import Tensor, nn

from m3i_dsl.modules.encoders.beit import BeitEncoder
from m3i_dsl.modules.encoders.generic import GenericEncoder
from m3i_dsl.modules.encoders.hierarchical import ConvNextEncoder, SwinEncoder
from m3i_dsl.modules.encoders.initial import initialise_vit
from m3i_dsl.modules.encoders.vit import VitEncoder
from m3i_dsl.modules.over_processes import over_all_processes
from m3i_dsl.vocabulary.encoders.catalogue import TimmModel
from m3i_dsl.vocabulary.kinds import FeatureShape, WordError

if TYPE_CHECKING:
    from m3i_dsl.vocabulary.encoders.timm import Timm


HEADS = ("head", "fc", "classifier", "attn_pool", "fc_norm")
"""How the parameters begin that make a class of features."""


def build_encoder(word: Timm, entry: TimmModel, shape: FeatureShape, masks: bool) -> nn.Module:
    """The adapter with random weights, drawn from torch's generator; with a mask token if `masks`."""
    model = over_all_processes(_create(word, entry, pretrained=False))
    if entry.plain:
        initialise_vit(model, word.init)
    for name, parameter in model.named_parameters():
        if name in entry.unused or name.split(".")[0] in entry.unused:
            parameter.requires_grad_(False)
    if word.freeze_patch_embedding:
        model.patch_embed.requires_grad_(False)
    match entry.family:
        case "vit":
            return VitEncoder(model, shape, masks=masks, sincos=word.positions == "sincos", head=word.head)
        case "beit":
            return BeitEncoder(model, shape, masks=masks)
        case "swin" | "swinv2":
            return SwinEncoder(model, shape, masks=masks)
        case "convnext":
            return ConvNextEncoder(model, shape, masks=masks)
        case "resnet" | "generic":
            return GenericEncoder(model, shape, layout=entry.layout, masks=masks)


def load_pretrained(word: Timm, entry: TimmModel, module: nn.Module) -> None:
    """Copies timm's own weights into `module`. Raises WordError when they cannot be had."""
    try:
        source = _create(word, entry, pretrained=True)
    except Exception as error:  # network, hub and file errors of many libraries
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WordError(f"no weights for `{word.model}`: {reason}", argument="pretrained") from error
    _timm_model(module).load_state_dict(source.state_dict())


def load_state(
    module: nn.Module, state: Mapping[str, Tensor], source: str, argument: str, optional: tuple[str, ...] = HEADS
) -> None:
    """Copies tensors with timm's parameter names, read from `source`, into `module`; a head that it lacks is left out.

    Parameters that begin as one of `optional` may be missing in the source. Learned positions of another grid are
    resampled. Raises WordError at `argument`.
    """
    model = _timm_model(module)
    own = model.state_dict()
    state = {name: value for name, value in state.items() if name in own or not name.startswith(HEADS)}
    unusable = sorted(name for name, value in state.items() if name in own and not usable(value, own[name]))
    state = {
        name: value if name in unusable else _fit(module, name, value, own.get(name)) for name, value in state.items()
    }
    unknown = sorted(state.keys() - own.keys())
    missing = sorted(name for name in own.keys() - state.keys() if not name.startswith(optional))
    differing = sorted(name for name in state.keys() & own.keys() if state[name].shape != own[name].shape)
    faults = (
        (unusable, "has other than finite real numbers in"),
        (unknown, "has unknown"),
        (missing, "lacks"),
        (differing, "has other shapes of"),
    )
    for names, what in faults:
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise WordError(f"`{source}` {what} parameters: `{names[0]}`{more}", argument=argument)
    model.load_state_dict(state, strict=False)


def usable(value: Tensor, own: Tensor) -> bool:
    """Whether `value` is of finite real numbers that `own`, a parameter or a count, can take over."""
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        return False
    return value.is_floating_point() == own.is_floating_point() and bool(torch.isfinite(value).all())


def _timm_model(module: nn.Module) -> nn.Module:
    model = module.get_submodule("model")
    return model


def fitted(module: nn.Module, name: str, value: Tensor) -> Tensor:
    """`value` for the tensor that the encoder `module` calls `name`: positions of another grid are resampled."""
    short = name.removeprefix("model.")
    placed = short != name and _of_a_grid(short)
    return _fit(module, short, value, module.get_parameter(name)) if placed else value


def _of_a_grid(name: str) -> bool:
    """Whether timm's parameter `name` has a row for each place of its grid."""
    return name == "pos_embed" or name.endswith(_BIAS_TABLE)


_BIAS_TABLE = "relative_position_bias_table"


def _fit(module: nn.Module, name: str, value: Tensor, own: Tensor | None) -> Tensor:
    if not _of_a_grid(name) or own is None or value.shape == own.shape or value.shape[-1] != own.shape[-1]:
        return value
    shape = module.shape
    assert isinstance(shape, FeatureShape)
    if name.endswith(_BIAS_TABLE):
        if not isinstance(module, BeitEncoder):  # Swin's is of a window, and stays
            return value
        return resize_rel_pos_bias_table_simple(value, (shape.grid.rows, shape.grid.columns), tuple(own.shape))
    prefix = own.shape[1] - shape.grid.tokens
    return resample_abs_pos_embed(value, [shape.grid.rows, shape.grid.columns], num_prefix_tokens=prefix)


def model_arguments(word: Timm, entry: TimmModel) -> dict[str, Any]:
    """What `timm.create_model` is given besides the name; with it, anyone builds the same model without m3ic."""
    arguments: dict[str, Any] = {"num_classes": word.head_rows() if word.head else 0}
    if entry.drop_path:
        arguments["drop_path_rate"] = word.drop_path
    if entry.size == "argument" and (word.image != entry.image or word.patch is not None):
        arguments["img_size"] = word.image
    if word.patch is not None:
        arguments["patch_size"] = word.patch
    if word.stride is not None:
        arguments["output_stride"] = word.stride
    if entry.family == "vit":
        arguments |= _sizes(word) | _vit_arguments(word)
    if entry.family == "beit":
        arguments |= _sizes(word) | _beit_arguments(word)
    return arguments


def _create(word: Timm, entry: TimmModel, *, pretrained: bool) -> Any:
    return timm.create_model(word.model, pretrained=pretrained, **model_arguments(word, entry))


def _sizes(word: Timm) -> dict[str, Any]:
    """What ViT and BEiT have in common."""
    named = (
        ("embed_dim", word.width),
        ("depth", word.depth),
        ("num_heads", word.heads),
        ("init_values", word.layer_scale),
    )
    return {name: value for name, value in named if value is not None}


def _beit_arguments(word: Timm) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if word.positions != "learned":
        shared = word.positions == "shared relative"
        arguments |= {"use_rel_pos_bias": not shared, "use_shared_rel_pos_bias": shared}
    if word.final_norm is not None:
        arguments["use_fc_norm"] = not word.final_norm
    return arguments


def _vit_arguments(word: Timm) -> dict[str, Any]:
    arguments: dict[str, Any] = {"dynamic_img_size": False}
    if word.class_token is not None:
        # Without a pool timm neither insists on a class token nor moves the final norm behind the pool.
        arguments |= {"class_token": word.class_token, "global_pool": ""}
    if word.final_norm is not None:
        arguments |= {"final_norm": word.final_norm, "fc_norm": False}
    return arguments
