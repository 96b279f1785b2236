"""Writes the catalogue of timm models that yield a dense grid of features: `python -m m3i_dsl.modules.timm_catalogue`.

Takes: the installed timm. Gives: `vocabulary/encoders/timm_catalogue.json`, from which `check` knows every shape
without torch, and `timm_weights.json` beside it, what each of timm's weights was trained on. Each model is made and run
on the meta device, so nothing is computed or downloaded: what is written is what its `forward_features` returns. Run it
after an upgrade of timm; it takes some minutes.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import timm
import torch
from timm.layers.drop import DropPath
from timm.layers.patch_embed import PatchEmbed
from timm.models.beit import Beit
from timm.models.convnext import ConvNeXt
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from m3i_dsl.vocabulary.encoders.catalogue import CATALOGUE, PLAIN, WEIGHTS

FAMILIES: tuple[tuple[type[nn.Module], str], ...] = (
    (VisionTransformer, "vit"),
    (Beit, "beit"),
    (SwinTransformer, "swin"),
    (SwinTransformerV2, "swinv2"),
    (ConvNeXt, "convnext"),
    (ResNet, "resnet"),
)

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


@dataclass(frozen=True)
class Entry:
    """One model; see `vocabulary.encoders.catalogue.TimmModel` for what the fields mean."""

    family: str
    width: int
    stride: int
    prefix: int
    depth: int
    image: int
    size: str
    layout: str
    patch: int
    heads: int
    class_token: bool
    final_norm: bool
    batch_norm: bool
    drop_path: bool
    random: bool
    unused: list[str]


class NoGridError(Exception):
    """A model whose features are no dense grid of an RGB image."""


def describe(name: str) -> Entry:
    """The entry of model `name`. Raises NoGridError."""
    model, drop_path = _make(name, {})
    channels, height, width = model.default_cfg["input_size"]  # type: ignore[index]  # set by timm on every model
    if channels != 3 or height != width:
        raise NoGridError(f"takes {channels} x {height} x {width}")
    family = next((label for kind, label in FAMILIES if type(model) is kind), "generic")
    if family == "vit":
        model, drop_path = _make(name, {"dynamic_img_size": False})
    features = _features(model, height)
    prefix, layout = int(getattr(model, "num_prefix_tokens", 0) or 0), _layout(model, features)
    grid, channels_out = _grid(features, prefix, layout)
    stride = _stride(model, height, grid)
    features.sum().backward()
    embed = getattr(model, "patch_embed", None)
    return Entry(
        family=family,
        width=channels_out,
        stride=stride,
        prefix=prefix,
        depth=_depth(model, family),
        image=height,
        size=_size(name, model, family, height, stride),
        layout=layout,
        patch=int(embed.patch_size[0]) if family in PLAIN and type(embed) is PatchEmbed else _stem_patch(model, family),
        heads=_heads(model) if family in PLAIN else 0,
        class_token=bool(getattr(model, "has_class_token", prefix > 0)),
        final_norm=family in PLAIN and not isinstance(model.norm, nn.Identity),
        batch_norm=any(isinstance(part, BATCH_NORMS) for part in model.modules()),
        drop_path=drop_path,
        random=any(_draws(part) for part in model.modules()),
        unused=_unused(model),
    )


def _make(name: str, arguments: dict[str, Any]) -> tuple[Any, bool]:
    """The model on the meta device, and whether it knows `drop_path_rate`."""
    with torch.device("meta"):
        try:
            return timm.create_model(name, num_classes=0, drop_path_rate=0.0, **arguments).train(), True
        except TypeError:
            return timm.create_model(name, num_classes=0, **arguments).train(), False


def _features(model: Any, size: int) -> Tensor:
    with torch.device("meta"):
        features = model.forward_features(torch.zeros(2, 3, size, size))
    if not isinstance(features, Tensor):
        raise NoGridError(f"forward_features returns {type(features).__name__}")
    return features


def _layout(model: Any, features: Tensor) -> str:
    if features.dim() == 3:
        return "tokens"
    return "NHWC" if getattr(model, "output_fmt", "NCHW") == "NHWC" else "NCHW"


def _grid(features: Tensor, prefix: int, layout: str) -> tuple[int, int]:
    """(rows, channels); raises NoGridError unless the grid is square and has more than one cell."""
    if layout == "tokens":
        side = round((features.shape[1] - prefix) ** 0.5)
        grid, channels = (side, features.shape[1] - prefix), features.shape[2]
        square = side * side == grid[1]
    else:
        if features.dim() != 4:
            raise NoGridError(f"features have {features.dim()} axes")
        rows, columns = features.shape[1:3] if layout == "NHWC" else features.shape[2:]
        grid, channels = (rows, columns), features.shape[3 if layout == "NHWC" else 1]
        square = rows == columns
    if not square or grid[0] < 2:
        raise NoGridError(f"features of shape {tuple(features.shape)}")
    return int(grid[0]), int(channels)


def _stride(model: Any, image: int, grid: int) -> int:
    """The stride with which images that it divides have exactly one token for each stride.

    The default image may be no multiple of it (ResNet-10-T is made for 176 pixels). Raises NoGridError for models that
    do not pad, whose grid is never the image divided by the stride.
    """
    if image % grid == 0:
        return image // grid
    stride = int(model.feature_info[-1]["reduction"]) if getattr(model, "feature_info", None) else 0
    if not stride or image // stride > grid:
        raise NoGridError(f"a grid of {grid} does not divide an image of {image}")
    if isinstance(model, VisionTransformer):
        return stride
    features = _features(model, stride * grid)
    prefix = int(getattr(model, "num_prefix_tokens", 0) or 0)
    if _grid(features, prefix, _layout(model, features))[0] != grid:
        raise NoGridError(f"a grid of {grid} does not divide an image of {image}")
    return stride


def _unused(model: Any) -> list[str]:
    """Parameters that took no part in the backward pass (heads); a child stands for its own if all are unused."""
    unused = {key for key, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None}
    names: list[str] = []
    for child in dict.fromkeys(key.split(".")[0] for key in sorted(unused)):
        own = {key for key, _ in model.named_parameters() if key.split(".")[0] == child}
        names.extend([child] if own <= unused else sorted(own & unused))
    return names


def _depth(model: Any, family: str) -> int:
    """The blocks on the final grid, whose outputs can be tapped."""
    match family:
        case "vit" | "beit":
            return len(model.blocks)
        case "swin" | "swinv2":
            return len(model.layers[-1].blocks)
        case "convnext":
            return len(model.stages[-1].blocks)
        case _:
            return 1


def _heads(model: Any) -> int:
    first = model.blocks[0]
    return int(first.attn.num_heads) if hasattr(first, "attn") else 0


def _stem_patch(model: Any, family: str) -> int:
    """The patch size of a stem that is one non-overlapping convolution, else 0."""
    match family:
        case "swin" | "swinv2":
            return int(model.patch_embed.patch_size[0])
        case "convnext":
            stem = model.stem[0]
            plain = isinstance(stem, nn.Conv2d) and stem.kernel_size == stem.stride
            return int(stem.stride[0]) if plain else 0
        case _:
            return 0


def _size(name: str, model: Any, family: str, image: int, stride: int) -> str:
    """How another image size is had: `argument` of the constructor, `free` (any multiple of the stride), or `fixed`."""
    if family in (*PLAIN, "swin", "swinv2"):
        return "argument"
    other = max(2, image // stride // 2) * stride
    other = 2 * image if other == image else other
    for label, arguments in (("free", {}), ("argument", {"img_size": other})):
        try:
            candidate = _make(name, arguments)[0] if arguments else model
            features = _features(candidate, other)
            prefix = int(getattr(candidate, "num_prefix_tokens", 0) or 0)
            if _grid(features, prefix, _layout(candidate, features))[0] == other // stride:
                return label
        except Exception:  # any failure of the trial means that this way does not exist
            continue
    return "fixed"


def _draws(part: nn.Module) -> bool:
    """Whether a part draws random numbers in training."""
    if isinstance(part, DROPOUTS):
        return part.p > 0
    return isinstance(part, DropPath) and (part.drop_prob or 0) > 0


def pretrained(models: Iterable[str]) -> dict[str, Any]:
    """`statistics`, pairs of mean and std, and for each model with weights `tag: [which statistics, rows of the head]`.

    The tag that timm takes when none is named comes first.
    """
    statistics: list[list[list[float]]] = []
    found: dict[str, dict[str, list[int]]] = {}
    for name in models:
        default = timm.get_pretrained_cfg(name, allow_unregistered=True)
        tags = [tag.partition(".")[2] for tag in timm.list_pretrained(f"{name}.*") if tag.split(".")[0] == name]
        for tag in sorted(tags, key=lambda tag: (default is None or tag != default.tag, tag)):
            config: Any = timm.get_pretrained_cfg(f"{name}.{tag}")
            pair = [list(config.mean), list(config.std)]
            if pair not in statistics:
                statistics.append(pair)
            found.setdefault(name, {})[tag] = [statistics.index(pair), config.num_classes]
    return {"statistics": statistics, "models": found}


def write_weights(models: Iterable[str]) -> None:
    """Writes `timm_weights.json`."""
    described = pretrained(models)
    rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(tags)}" for name, tags in described["models"].items())
    statistics = ",\n".join(f"    {json.dumps(pair)}" for pair in described["statistics"])
    text = (
        f'{{\n  "timm": {json.dumps(timm.__version__)},\n  "statistics": [\n{statistics}\n  ],\n'
        f'  "models": {{\n{rows}\n  }}\n}}\n'
    )
    WEIGHTS.write_text(text, encoding="ascii")


def main() -> None:
    """Writes both; models without a grid are named on stderr, with the reason."""
    warnings.simplefilter("ignore")
    models: dict[str, dict[str, Any]] = {}
    without: list[str] = []
    for name in timm.list_models():
        try:
            models[name] = asdict(describe(name))
        except Exception as error:  # the reason is printed; one model that fails must not hide the others
            without.append(name)
            print(f"{name}: {type(error).__name__}: {str(error)[:120]}", file=sys.stderr)
    rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(models.items()))
    text = (
        f'{{\n  "timm": {json.dumps(timm.__version__)},\n  "models": {{\n{rows}\n  }},\n'
        f'  "without_grid": {json.dumps(sorted(without))}\n}}\n'
    )
    CATALOGUE.write_text(text, encoding="ascii")
    write_weights(sorted(models))
    print(f"{len(models)} models with a dense grid, {len(without)} without: {CATALOGUE}")


if __name__ == "__main__":
    main()
