"""Attention pooling: one vector of all tokens, by a query that is their mean.

Takes: `[B, P + N, D]`. Gives: `[B, E]`. Guarantees: the form of InternImage's released model: separate layer norms for
query, keys and values, biases everywhere, no residual, no MLP, no positions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from m3i_dsl.modules.blocks import initialise


class AttentionPoolHead(nn.Module):
    """Prefix tokens are left out; with `source`, so are the tokens of the other image."""

    def __init__(self, input_width: int, output_width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_q = nn.LayerNorm(input_width, eps=1e-6)
        self.norm_k = nn.LayerNorm(input_width, eps=1e-6)
        self.norm_v = nn.LayerNorm(input_width, eps=1e-6)
        self.q = nn.Linear(input_width, input_width)
        self.k = nn.Linear(input_width, input_width)
        self.v = nn.Linear(input_width, input_width)
        self.out = nn.Linear(input_width, output_width)
        initialise(self)

    def forward(self, features: Tensor, source: Tensor | None = None, *, prefix: int) -> Tensor:
        x_BND = features[:, prefix:]
        if source is None:
            mean_B1D, mask = x_BND.mean(dim=1, keepdim=True), None
        else:
            own_BN1 = source.unsqueeze(-1).to(x_BND.dtype)
            mean_B1D = (x_BND * own_BN1).sum(dim=1, keepdim=True) / own_BN1.sum(dim=1, keepdim=True)
            mask = source[:, None, None, :]
        q, k, v = (
            linear(norm(tokens)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for linear, norm, tokens in (
                (self.q, self.norm_q, mean_B1D),
                (self.k, self.norm_k, x_BND),
                (self.v, self.norm_v, x_BND),
            )
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(attended.transpose(1, 2).flatten(1))
