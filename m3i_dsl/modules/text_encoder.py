"""A text encoder: token ids to one vector.

Takes: ids `[B, T]`, 0 for padding. Gives: `[B, width]`. Guarantees: padding is neither attended to nor pooled, so that
a text's vector does not depend on the context length; pre-norm blocks, learned positions, a final norm.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from m3i_dsl.modules.blocks import Block, initialise, norm

TextPool = Literal["mean", "end"]


class TextTransformer(nn.Module):
    """`pool`: the mean over a text's tokens (M3I's figure 1), or its last token (CLIP).

    `causal`: a token attends to those up to itself only. `initial`: xavier-uniform matrices, or CLIP's.
    """

    def __init__(
        self,
        *,
        vocabulary: int,
        context: int,
        width: int,
        layers: int,
        heads: int,
        pool: TextPool,
        causal: bool = False,
        activation: Literal["gelu", "quick_gelu"] = "gelu",
        initial: Literal["xavier", "clip"] = "xavier",
    ) -> None:
        super().__init__()
        self.pool: TextPool = pool
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

    def forward(self, tokens: Tensor) -> Tensor:
        """`tokens` i64 [B, T], T at most the context -> [B, width]."""
        index = torch.arange(tokens.shape[1], device=tokens.device)
        # The first position counts even if a tokenizer gave nothing: attention to no token at all is undefined.
        valid = (tokens != 0) | (index == 0)
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
        seen = valid[:, None, None, :]
        if self.causal:
            seen = seen & (index.unsqueeze(0) <= index.unsqueeze(1))
        for block in self.blocks:
            x = block(x, seen)
        x = self.norm(x)
        if self.pool == "mean":
            weights = valid.unsqueeze(-1).to(x.dtype)
            return (x * weights).sum(dim=1) / weights.sum(dim=1)
        last = (valid * index).amax(dim=1)
        return x.gather(1, last[:, None, None].expand(-1, 1, x.shape[-1])).squeeze(1)

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
