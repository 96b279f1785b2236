"""Transformer blocks, shared by decoders, projectors and the text encoder.

Takes: tokens `[B, N, D]`. Gives: the same shape. Guarantees: pre-norm residual blocks with a GELU MLP of four times the
width, attention by `scaled_dot_product_attention`; no dropout. `initialise` draws the weights of every
linear layer below a module.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from timm.layers import QuickGELU
from torch import Tensor, nn

from m3i_dsl.modules.batch_norm import GlobalBatchNorm1d

Norm = Literal["layer", "batch"]
Initial = Literal["xavier", "truncated", "lecun", "torch"]


class ChannelBatchNorm(GlobalBatchNorm1d):
    """Batch norm over every axis but the last: of [B, D], or of [B, N, D] over all B * N tokens (SiameseIM).

    B is the global batch.
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(0, -2)).reshape(input.shape)


def norm(kind: Norm, width: int) -> nn.Module:
    """Layer norm with eps 1e-6 (MAE), or `ChannelBatchNorm`."""
    return nn.LayerNorm(width, eps=1e-6) if kind == "layer" else ChannelBatchNorm(width)


class Rows(NamedTuple):
    """Where in rows the tokens of each sample are: of the `context` i64 [B, N] and of the `queries` i64 [B, Q]."""

    context: Tensor
    queries: Tensor


class Attention(nn.Module):
    """Multi-head attention with biases and one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, context: Tensor, mask: Tensor | None = None, rows: Rows | None = None) -> Tensor:
        """[B, Q, D]: `queries` [B, Q, D] attend to `context` [B, N, D] where `mask` (to [B, heads, Q, N]) is True.

        With `rows` both are rows [R, D], in which the tokens are; each row is projected once.
        """
        if queries is context:
            qkv = self.qkv(context)
            q, k, v = (qkv if rows is None else F.embedding(rows.context, qkv)).chunk(3, dim=-1)
        else:
            width = queries.shape[-1]
            weight_q, weight_kv = self.qkv.weight.split([width, 2 * width])
            bias_q, bias_kv = self.qkv.bias.split([width, 2 * width])
            q, kv = F.linear(queries, weight_q, bias_q), F.linear(context, weight_kv, bias_kv)
            if rows is not None:
                q, kv = F.embedding(rows.queries, q), F.embedding(rows.context, kv)
            k, v = kv.chunk(2, dim=-1)
        q, k, v = self._split(q), self._split(k), self._split(v)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(attended.transpose(1, 2).flatten(2))

    def _split(self, x_BND: Tensor) -> Tensor:
        return x_BND.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)); its queries may be a part of what is attended to."""

    def __init__(
        self, width: int, heads: int, norm_kind: Norm = "layer", activation: Literal["gelu", "quick_gelu"] = "gelu"
    ) -> None:
        super().__init__()
        self.norm1 = norm(norm_kind, width)
        self.attention = Attention(width, heads)
        self.norm2 = norm(norm_kind, width)
        act = nn.GELU() if activation == "gelu" else QuickGELU()
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), act, nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor | None = None, start: int = 0, index: Tensor | None = None) -> Tensor:
        """[B, N, D] -> [B, N - start, D]: the tokens from `start` on; those before are only attended to.

        `mask` as in `Attention`, for `start` 0 only. With `index` i64 [B, N], for layer norm only, x is rows [R, D] and
        the tokens are x[index]: what maps each token by itself before the attention is done once a row. The first
        `B start` rows are those of the tokens before `start`.
        """
        normed = self.norm1(x)
        if index is None:
            wanted, rows = normed[:, start:] if start else normed, None
            x = x[:, start:]
        else:
            first = len(index) * start
            wanted, rows = normed[first:] if start else normed, Rows(index, index[:, start:] - first)
            x = F.embedding(rows.queries, x[first:])
        x = x + self.attention(wanted, normed, mask, rows)
        return x + self.mlp(self.norm2(x))

    def update(self, queries: Tensor, context: Tensor) -> Tensor:
        """[B, Q, D]: only `queries` change; they attend to themselves and to `context` [B, N, D] as it is."""
        normed = self.norm1(torch.cat([context, queries], dim=1))
        queries = queries + self.attention(normed[:, context.shape[1] :], normed)
        return queries + self.mlp(self.norm2(queries))


def initialise(module: nn.Module, scheme: Initial = "xavier") -> None:
    """Weights and zero biases for every linear layer of `module`; a joint projection counts as one matrix.

    `xavier`: uniform (MAE); `truncated`: N(0, 0.02), cut off at +-2 (timm, DINO, BEiT); `lecun`: N(0, 1 / inputs) cut
    off at two deviations (Haiku: BYOL); `torch`: as torch makes them, uniform up to 1 / sqrt(inputs), biases too.
    """
    if scheme == "torch":
        return
    for part in module.modules():
        if isinstance(part, nn.Linear):
            match scheme:
                case "xavier":
                    nn.init.xavier_uniform_(part.weight)
                case "truncated":
                    nn.init.trunc_normal_(part.weight, std=0.02)
                case "lecun":
                    std = part.in_features**-0.5
                    nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
            if part.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]  # None without a bias
                nn.init.zeros_(part.bias)
