"""Modules of the compiled graph, computed by hand from their parameters.

Takes: a module that a reference calls whole (a projector, a predictor, a text encoder). Gives: a function that reads
its parameters and computes with elementary operations. Guarantees: no `forward` of the package runs in a reference;
batch norm moves the running statistics of the module that it is given, as training does. An unknown module is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.numerics.reference.plain import attend

Function = Callable[[Tensor], Tensor]


def function(module: Any) -> Function:
    """The function of a head, a text projection or a text encoder."""
    match type(module).__name__:
        case "Identity":
            return lambda x: x
        case "Linear" | "TextProjection":
            return lambda x: linear(module.linear, x)
        case "MLP":
            return lambda x: mlp(module.layers, x)
        case "Blocks":
            return lambda x: blocks(module, x)
        case "TextTransformer":
            return lambda tokens: text_transformer(module, tokens)
        case other:
            raise NotImplementedError(f"no hand-written {other}")


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
        else:
            assert isinstance(layer, nn.GELU)
            x = F.gelu(x)
    return x


def batch_norm(layer: nn.BatchNorm1d, x: Tensor) -> Tensor:
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
    """A linear layer, pre-norm transformer blocks over the tokens of x [B, N, D], and a norm."""
    x = linear(module.linear, x)
    for block in module.blocks:
        x = x + attend(layer_norm(block.norm1, x), block.attention.qkv, block.attention.out, block.attention.heads)
        x = x + mlp(block.mlp, layer_norm(block.norm2, x))
    return layer_norm(module.norm, x)


def text_transformer(module: Any, tokens: Tensor) -> Tensor:
    """[B, W]: each text by itself and without its padding; the mean of its tokens."""
    assert module.pool == "mean"
    rows: list[Tensor] = []
    for text in tokens:
        length = max(1, int((text != 0).sum()))
        assert not text[length:].any(), "padding stands at the end"
        x = (module.embedding.weight[text[:length]] + module.positions[:length]).unsqueeze(0)
        for block in module.blocks:
            attention = block.attention
            x = x + attend(layer_norm(block.norm1, x), attention.qkv, attention.out, attention.heads)
            x = x + mlp(block.mlp, layer_norm(block.norm2, x))
        rows.append(layer_norm(module.norm, x).mean(dim=1).squeeze(0))
    return torch.stack(rows)
