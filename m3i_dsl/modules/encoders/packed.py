"""A ViT block on tokens of different images at once: linear work on all tokens, attention by shape.

Takes: tokens [T, D] of several batches one after another, and the (images, tokens) of each. Gives: what the block makes
of each batch alone, equal to rounding. Guarantees: no token is padded and none attends to another image; a block that
is called as timm calls it is timm's own, with the same parameter names.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

Shapes = tuple[tuple[int, int], ...]
"""(images, tokens of each) of the batches that are packed."""


class PackableBlock(Block):
    """timm's block, which also takes packed tokens: called with `shapes`, `x` is [T, D].

    It is called like any other module, so that hooks, sharding and `torch.compile` see packed calls too.
    """

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, shapes: Shapes | None = None
    ) -> Tensor:
        if shapes is None:
            return Block.forward(self, x, attn_mask, is_causal)
        x = x + self.ls1(_attention(self.attn, self.norm1(x), shapes))
        return x + self.ls2(self.mlp(self.norm2(x)))


def make_packable(model: VisionTransformer) -> None:
    """Lets the blocks of `model` take packed tokens where they are timm's plain ones; others stay as they are."""
    for block in model.blocks:
        if type(block) is Block and type(block.attn) is Attention:
            block.__class__ = PackableBlock


def packable(model: VisionTransformer) -> bool:
    """Whether every block takes packed tokens."""
    return all(isinstance(block, PackableBlock) for block in model.blocks)


def pack(batches: list[Tensor]) -> tuple[Tensor, Shapes]:
    """[T, D] and the shapes, of batches [B_i, N_i, D]."""
    return torch.cat([x.flatten(0, 1) for x in batches]), tuple((x.shape[0], x.shape[1]) for x in batches)


def unpack(x: Tensor, shapes: Shapes) -> tuple[Tensor, ...]:
    """The batches [B_i, N_i, D] of packed tokens [T, D]."""
    parts = x.split([images * tokens for images, tokens in shapes])
    return tuple(part.unflatten(0, shape) for part, shape in zip(parts, shapes, strict=True))


def _attention(attention: nn.Module, x: Tensor, shapes: Shapes) -> Tensor:
    """timm's attention (timm.layers.Attention), the products between tokens for each shape by itself."""
    assert isinstance(attention, Attention)
    heads = attention.num_heads
    mixed: list[Tensor] = []
    for qkv in unpack(attention.qkv(x), shapes):
        query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        query, key = attention.q_norm(query), attention.k_norm(key)
        seen = F.scaled_dot_product_attention(query, key, value)
        mixed.append(seen.transpose(1, 2).flatten(2).flatten(0, 1))
    y = attention.norm(torch.cat(mixed))
    if attention.gate is not None:
        y = y * attention.gate(x).sigmoid()
    return attention.proj(y)
