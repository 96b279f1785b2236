"""Modules of the compiled graph, computed by hand from their parameters.

Takes: a module that a reference calls whole (a ResNet, a projector, a predictor, a text encoder). Gives: a function
that reads its parameters and computes with elementary operations. Guarantees: no `forward` of the package or of timm
runs in a reference; batch norm moves the running statistics of the module that it is given, as training does. An
unknown module is an error.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.numerics.reference.codes import quantised
from tests.numerics.reference.plain import attend, l2

Function = Callable[[Any], Any]


def function(module: Any) -> Function:
    """The function of a head or a text projection."""
    match type(module).__name__:
        case "IdentityHead" | "Identity":
            return lambda x: x
        case "LinearHead" | "TextProjection":
            return lambda x: linear(module.linear, x)
        case "MLP":
            return lambda x: mlp(module.layers, x)
        case "PrototypesHead":
            return lambda x: l2(mlp(module.mlp.layers, x)) @ l2(module.prototypes.weight).T
        case "NecksHead":
            pooled, dense = function(module.pooled), function(module.dense)
            return lambda x: pooled(x) if x.dim() == 2 else dense(x)
        case "JoinedHead":
            parts = [function(part) for part in module.parts]
            return lambda x: functools.reduce(lambda y, part: part(y), parts, x)
        case "CodebookHead":
            return lambda x: quantised(module, x)
        case "BlocksHead":
            return lambda x: blocks(module, x)
        case other:
            raise NotImplementedError(f"no hand-written {other}")


def backbone(model: Any) -> Any:
    """What plain.vit_tokens takes: a ViT as it is, any other model as a function of the image."""
    return model if hasattr(model, "blocks") else ResNet(model)


class ResNet:
    """A timm ResNet of basic blocks, dilated or not, up to its last map; as tokens [B, L, D]."""

    num_prefix_tokens = 0

    def __init__(self, model: Any) -> None:
        assert type(model).__name__ == "ResNet", f"no hand-written {type(model).__name__}"
        self.model = model
        self.patch_embed = SimpleNamespace(patch_size=(model.feature_info[-1]["reduction"],) * 2)

    def __call__(self, image: Tensor) -> Tensor:
        model = self.model
        x = in_order(model.conv1, image)
        x = batch_norm_2d(model.bn1, x).clamp(min=0)
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
            for block in layer:
                y = batch_norm_2d(block.bn1, convolution(block.conv1, x)).clamp(min=0)
                y = batch_norm_2d(block.bn2, convolution(block.conv2, y))
                x = (y + (x if block.downsample is None else in_order(block.downsample, x))).clamp(min=0)
        return x.flatten(2).transpose(1, 2)


def in_order(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Convolutions, batch norms, ReLUs and average pools in order, on maps [B, D, H, W]."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            x = convolution(layer, x)
        elif isinstance(layer, nn.BatchNorm2d):
            x = batch_norm_2d(layer, x)
        elif isinstance(layer, nn.ReLU):
            x = x.clamp(min=0)
        elif isinstance(layer, nn.AvgPool2d):  # of 2 x 2 cells; where it does not shrink, zeros stand beyond the edge
            assert layer.kernel_size in (2, (2, 2))
            shrinks = layer.stride in (2, (2, 2))
            x = F.avg_pool2d(x, 2) if shrinks else F.avg_pool2d(F.pad(x, (0, 1, 0, 1)), 2, stride=1)
        else:
            raise NotImplementedError(f"no hand-written {type(layer).__name__}")
    return x


def convolution(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A 2-D convolution without bias."""
    assert layer.bias is None
    assert layer.groups == 1
    padding = (int(layer.padding[0]), int(layer.padding[1]))
    return F.conv2d(x, layer.weight, stride=layer.stride, padding=padding, dilation=layer.dilation)


def batch_norm_2d(layer: nn.Module, x: Tensor) -> Tensor:
    """Channels of x [B, D, H, W] over all other axes."""
    assert isinstance(layer, nn.BatchNorm2d)
    return batch_norm(layer, x.movedim(1, -1)).movedim(-1, 1)


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """x W^T + b."""
    y = x @ layer.weight.T
    return y if layer.bias is None else y + layer.bias  # pyright: ignore[reportUnnecessaryComparison]


def mlp(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Linear layers, batch norms and activations in order."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            x = linear(layer, x)
        elif isinstance(layer, nn.BatchNorm1d):
            x = batch_norm(layer, x)
        elif isinstance(layer, nn.LayerNorm):
            x = layer_norm(layer, x)
        elif isinstance(layer, nn.ReLU):
            x = x.clamp(min=0)
        elif isinstance(layer, nn.Tanh):
            x = (1 - (-2 * x).exp()) / (1 + (-2 * x).exp())
        elif type(layer).__name__ == "QuickGELU":
            x = x * torch.sigmoid(1.702 * x)
        else:
            assert isinstance(layer, nn.GELU)
            x = F.gelu(x)
    return x


def batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Channels of x [..., D] over all other axes: biased variance here, unbiased in the running statistics."""
    rows = x.flatten(0, -2)
    mean = rows.mean(dim=0)
    variance = (rows - mean).square().mean(dim=0)
    with torch.no_grad():
        assert layer.running_mean is not None
        assert layer.running_var is not None
        assert layer.num_batches_tracked is not None
        layer.running_mean.copy_(0.9 * layer.running_mean + 0.1 * mean)
        layer.running_var.copy_(0.9 * layer.running_var + 0.1 * variance * len(rows) / (len(rows) - 1))
        layer.num_batches_tracked.add_(1)
    y = (x - mean) / (variance + layer.eps).sqrt()
    return y * layer.weight + layer.bias if layer.affine else y


def layer_norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    """Each row of x [..., D] over its channels, then the affine part."""
    centred = x - x.mean(dim=-1, keepdim=True)
    y = centred / (centred.square().mean(dim=-1, keepdim=True) + layer.eps).sqrt()
    return y * layer.weight + layer.bias


def blocks(module: Any, x: Tensor) -> Tensor:
    """A linear layer, pre-norm transformer blocks over the tokens of x [B, N, D], and a norm if there is one."""
    x = linear(module.linear, x)
    for block in module.blocks:
        x = x + attend(any_norm(block.norm1, x), block.attention.qkv, block.attention.out, block.attention.heads)
        x = x + mlp(block.mlp, any_norm(block.norm2, x))
    return any_norm(module.norm, x)


def any_norm(module: nn.Module, x: Tensor) -> Tensor:
    """Layer norm, batch norm, or none."""
    if isinstance(module, nn.Identity):
        return x
    return batch_norm(module, x) if isinstance(module, nn.BatchNorm1d) else layer_norm(cast(nn.LayerNorm, module), x)


def text_transformer(module: Any, tokens: Tensor, pool: str) -> Tensor:
    """[B, W]: the mean of the tokens of each text, or its last one."""
    return torch.stack([x.mean(dim=0) if pool == "mean" else x[-1] for x in text_tokens(module, tokens)])


def text_tokens(module: Any, tokens: Tensor, hidden: Tensor | None = None) -> list[Tensor]:
    """[n, W] of each text by itself and without its padding; the mask token stands where `hidden` [B, T] is True."""
    rows: list[Tensor] = []
    for number, text in enumerate(tokens):
        length = max(1, int((text != 0).sum()))
        assert not text[length:].any(), "padding stands at the end"
        words = list(module.embedding.weight[text[:length]])
        if hidden is not None:
            words = [module.mask_token if hidden[number, place] else word for place, word in enumerate(words)]
        x = (torch.stack(words) + module.positions[:length]).unsqueeze(0)
        for block in module.blocks:
            attention = block.attention
            normed = layer_norm(block.norm1, x)
            x = x + attend(normed, attention.qkv, attention.out, attention.heads, causal=module.causal)
            x = x + mlp(block.mlp, layer_norm(block.norm2, x))
        x = layer_norm(module.norm, x).squeeze(0)
        rows.append(x)
    return rows
