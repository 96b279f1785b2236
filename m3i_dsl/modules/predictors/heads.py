"""Predictors and projectors that map each token, or the pooled vector, by itself.

Takes: `[B, N, D]` or `[B, D]`. Gives: the same with other channels. Guarantees: no positions, no tokens dropped; batch
norms count every row of the batch, tokens included.
"""

from __future__ import annotations

import itertools
from typing import Literal

from torch import Tensor, nn

from m3i_dsl.modules.blocks import Block, ChannelBatchNorm, Initial, Norm, initialise, norm

Activation = Literal["relu", "gelu", "tanh"]

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class IdentityHead(nn.Module):
    """The features as they are."""

    def forward(self, features: Tensor) -> Tensor:
        return features


class LinearHead(nn.Module):
    """One linear layer."""

    def __init__(self, input_width: int, output_width: int, bias: bool = True, initial: Initial = "xavier") -> None:
        super().__init__()
        self.linear = nn.Linear(input_width, output_width, bias=bias)
        initialise(self, initial)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)


class MLP(nn.Module):
    """Linear layers; behind each but the last a norm and an activation, behind the last an affine-free batch norm."""

    def __init__(
        self,
        input_width: int,
        output_width: int,
        *,
        layers: int,
        hidden: int,
        activation: Activation,
        norm_kind: Norm | None,
        output_norm: bool,
        bias: bool,
        output_bias: bool,
        initial: Initial = "xavier",
    ) -> None:
        super().__init__()
        widths = [input_width, *[hidden] * (layers - 1)]
        parts: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            parts.append(nn.Linear(before, after, bias=bias))
            if norm_kind is not None:
                parts.append(norm(norm_kind, after))
            parts.append(_ACTIVATIONS[activation]())
        parts.append(nn.Linear(widths[-1], output_width, bias=output_bias))
        if output_norm:
            parts.append(ChannelBatchNorm(output_width, affine=False))
        self.layers = nn.Sequential(*parts)
        initialise(self, initial)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


class BlocksHead(nn.Module):
    """A linear layer to the output width, then transformer blocks, perhaps a norm; a pooled vector counts as one
    token.
    """

    def __init__(
        self, input_width: int, output_width: int, *, layers: int, heads: int, norm_kind: Norm, final_norm: bool = True
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(input_width, output_width)
        self.blocks = nn.ModuleList(Block(output_width, heads, norm_kind) for _ in range(layers))
        self.norm = norm(norm_kind, output_width) if final_norm else nn.Identity()
        initialise(self)

    def forward(self, features: Tensor) -> Tensor:
        x = self.linear(features)
        tokens = x if x.dim() == 3 else x.unsqueeze(1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens).reshape(x.shape)


class NecksHead(nn.Module):
    """`pooled` maps a pooled vector [B, D], `dense` each token of [B, N, D]."""

    def __init__(self, pooled: nn.Module, dense: nn.Module) -> None:
        super().__init__()
        self.pooled, self.dense = pooled, dense

    def forward(self, features: Tensor) -> Tensor:
        return self.pooled(features) if features.dim() == 2 else self.dense(features)
