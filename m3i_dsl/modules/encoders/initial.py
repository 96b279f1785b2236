"""Initial weights of a plain ViT or BEiT as the code of each method draws them.

Takes: a timm VisionTransformer or Beit with timm's own. Gives: nothing; the weights are drawn anew from torch's
generator. Guarantees: layer norms and layer scales stay; what a scheme says nothing of keeps timm's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from timm.models.beit import Beit
from timm.models.vision_transformer import VisionTransformer
from torch import nn

Scheme = Literal["timm", "mae", "moco_v3", "beit", "dino", "clip"]


@torch.no_grad()
def initialise_vit(model: VisionTransformer | Beit, scheme: Scheme) -> None:
    """Draws the weights of `model` by `scheme`; "timm" leaves them."""
    if scheme != "timm":
        _SCHEMES[scheme](model)


def _mae(model: Any) -> None:
    """Xavier-uniform matrices, zero biases, the patch embedding as one matrix, class token N(0, 0.02) (MAE)."""
    _linear(model, nn.init.xavier_uniform_)
    nn.init.xavier_uniform_(model.patch_embed.proj.weight.flatten(1))
    _tokens(model, 0.02)


def _moco_v3(model: Any) -> None:
    """As MAE, but query, key and value weights count as three matrices, and the class token is N(0, 1e-6)."""
    _linear(model, nn.init.xavier_uniform_)
    for block in model.blocks:
        weight = block.attn.qkv.weight
        bound = math.sqrt(6 / (weight.shape[0] // 3 + weight.shape[1]))
        nn.init.uniform_(weight, -bound, bound)
    stem = model.patch_embed.proj
    bound = math.sqrt(6 / (stem.weight[0].numel() + stem.weight.shape[0]))
    nn.init.uniform_(stem.weight, -bound, bound)
    if stem.bias is not None:
        nn.init.zeros_(stem.bias)
    _tokens(model, 1e-6)


def _beit(model: Any) -> None:
    """Truncated N(0, 0.02), zero biases; the last matrices of block l are divided by sqrt(2 l) (BEiT, SimMIM)."""
    _linear(model, _truncated)
    _truncated(model.patch_embed.proj.weight)
    if model.patch_embed.proj.bias is not None:
        nn.init.zeros_(model.patch_embed.proj.bias)
    for number, block in enumerate(model.blocks, start=1):
        block.attn.proj.weight.div_(math.sqrt(2 * number))
        block.mlp.fc2.weight.div_(math.sqrt(2 * number))
    _tokens(model, 0.02)
    if model.pos_embed is not None:
        _truncated(model.pos_embed)


def _dino(model: Any) -> None:
    """Truncated N(0, 0.02) for matrices, class token and positions, zero biases; torch's own patch embedding."""
    _linear(model, _truncated)
    model.patch_embed.proj.reset_parameters()
    _tokens(model, 0.02)
    if model.pos_embed is not None:
        _truncated(model.pos_embed)


def _clip(model: Any) -> None:
    """What torch's attention and linear layers start with, and N(0, 1 / width) for class token and positions."""
    for part in model.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            part.reset_parameters()
    for block in model.blocks:
        nn.init.xavier_uniform_(block.attn.qkv.weight)
        nn.init.zeros_(block.attn.qkv.bias)
        nn.init.zeros_(block.attn.proj.bias)
    _tokens(model, model.embed_dim**-0.5)
    if model.pos_embed is not None:
        nn.init.normal_(model.pos_embed, std=model.embed_dim**-0.5)


_SCHEMES: dict[str, Callable[[Any], None]] = {
    "mae": _mae,
    "moco_v3": _moco_v3,
    "beit": _beit,
    "dino": _dino,
    "clip": _clip,
}


def _linear(model: nn.Module, draw: Callable[..., Any]) -> None:
    for part in model.modules():
        if isinstance(part, nn.Linear):
            draw(part.weight)
            if part.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]  # None without a bias
                nn.init.zeros_(part.bias)


def _truncated(weight: torch.Tensor) -> None:
    nn.init.trunc_normal_(weight, std=0.02)


def _tokens(model: Any, std: float) -> None:
    for token in (model.cls_token, getattr(model, "reg_token", None)):
        if token is not None:
            nn.init.normal_(token, std=std)
