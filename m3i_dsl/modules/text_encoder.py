"""A text encoder: token ids to features, and features to one vector.

Takes: ids `[B, T]`, 0 for padding. Gives: `[B, T, width]`, pooled `[B, width]`. Guarantees: padding is neither attended
to nor pooled, so that a text's features do not depend on the context length; pre-norm blocks, learned positions, a
final norm.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from m3i_dsl.modules.blocks import Block, initialise, norm


def real_tokens(tokens: Tensor) -> Tensor:
    """bool [B, T]: which of `tokens` i64 [B, T] are no padding.

    The first counts even if a tokenizer gave nothing: attention to no token at all, and a mean of none, are undefined.
    """
    return (tokens != 0) | (torch.arange(tokens.shape[1], device=tokens.device) == 0)


def pool_text(features: Tensor, tokens: Tensor, mode: Literal["mean", "end"]) -> Tensor:
    """[B, W] of `features` [B, T, W]: the mean over the real tokens of a text (M3I's figure 1), or its last (CLIP)."""
    valid = real_tokens(tokens)
    if mode == "mean":
        weights = valid.unsqueeze(-1).to(features.dtype)
        return (features * weights).sum(dim=1) / weights.sum(dim=1)
    last = (valid * torch.arange(tokens.shape[1], device=tokens.device)).amax(dim=1)
    return features.gather(1, last[:, None, None].expand(-1, 1, features.shape[-1])).squeeze(1)


class TextTransformer(nn.Module):
    """`causal`: a token attends to those up to itself only. `initial`: xavier-uniform matrices, or CLIP's.

    `mask_token`: whether some call hides tokens, whose embeddings a learned one then replaces, truncated N(0, 0.02^2)
    (BERT).
    """

    def __init__(
        self,
        *,
        vocabulary: int,
        context: int,
        width: int,
        layers: int,
        heads: int,
        causal: bool = False,
        activation: Literal["gelu", "quick_gelu"] = "gelu",
        initial: Literal["xavier", "clip"] = "xavier",
        mask_token: bool = False,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.zeros(context, width))
        self.blocks = nn.ModuleList(Block(width, heads, activation=activation) for _ in range(layers))
        self.norm = norm("layer", width)
        if initial == "xavier":
            initialise(self)
        else:
            self._as_clip(width, layers)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        self.mask_token = nn.Parameter(torch.empty(width)) if mask_token else None
        if self.mask_token is not None:
            nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, tokens: Tensor, hidden: Tensor | None = None) -> Tensor:
        """`tokens` i64 [B, T], T at most the context, `hidden` bool [B, T] -> [B, T, width]."""
        x = self.embedding(tokens)
        if hidden is not None:
            assert self.mask_token is not None, "an encoder whose input is masked is built with a mask token"
            x = torch.where(hidden.unsqueeze(-1), self.mask_token.to(x.dtype), x)
        x = x + self.positions[: tokens.shape[1]]
        seen = real_tokens(tokens)[:, None, None, :]
        if self.causal:
            index = torch.arange(tokens.shape[1], device=tokens.device)
            seen = seen & (index.unsqueeze(0) <= index.unsqueeze(1))
        for block in self.blocks:
            x = block(x, seen)
        return self.norm(x)

    def _as_clip(self, width: int, layers: int) -> None:
        """Normal matrices: 1 / sqrt(width) into the attention, 1 / sqrt(2 width) into the MLP, and out of both
        1 / sqrt(2 layers width); the MLP's biases as torch makes them.
        """
        out = (2 * layers * width) ** -0.5
        for part in self.blocks:
            block = cast(Block, part)
            nn.init.normal_(block.attention.qkv.weight, std=width**-0.5)
            nn.init.normal_(block.attention.out.weight, std=out)
            nn.init.zeros_(block.attention.qkv.bias)
            nn.init.zeros_(block.attention.out.bias)
            nn.init.normal_(cast(nn.Linear, block.mlp[0]).weight, std=(2 * width) ** -0.5)
            nn.init.normal_(cast(nn.Linear, block.mlp[2]).weight, std=out)
