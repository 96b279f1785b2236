"""A convolutional decoder on the grid (data2vec 2, Baevski et al. 2022).

Takes: the call of `predictors`. Gives: `[B, wanted, E]`. Guarantees: no positions but those of the grid itself; hidden
cells start as Gaussian noise of a given spread, which is random in training and evaluation alike, or as zeros.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from m3i_dsl.collectives import drawn
from m3i_dsl.modules.blocks import initialise
from m3i_dsl.modules.normalize import layer
from m3i_dsl.modules.tokens import chosen_positions, gather_tokens
from m3i_dsl.vocabulary.kinds import PredictorShape


class ConvDecoderHead(nn.Module):
    """`layers` of: grouped convolution, layer norm over channels without affine, GELU, residual where widths agree."""

    def __init__(
        self, shape: PredictorShape, *, layers: int, width: int, kernel: int, groups: int, noise: float
    ) -> None:
        super().__init__()
        self.noise = noise
        widths = [shape.input_width, *[width] * layers]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups)
            for before, after in itertools.pairwise(widths)
        )
        self.out = nn.Linear(width, shape.output_width)
        initialise(self)

    def forward(
        self,
        features: Tensor,
        hidden: Tensor | None = None,
        wanted: Tensor | None = None,
        *_: Tensor | None,
        prefix: int,
        rows: int,
        columns: int,
        count: int,
        **__: int,
    ) -> Tensor:
        x = self._full(features[:, prefix:], hidden).transpose(1, 2).unflatten(2, (rows, columns))
        for convolution in self.convolutions:
            y = convolution(x).permute(0, 2, 3, 1)
            y = nn.functional.gelu(layer(y)).permute(0, 3, 1, 2)
            x = x + y if x.shape == y.shape else y
        tokens = x.flatten(2).transpose(1, 2)
        if wanted is not None:
            tokens = gather_tokens(tokens, wanted, count)
        return self.out(tokens)

    def _full(self, tokens: Tensor, hidden: Tensor | None) -> Tensor:
        """[B, L, D]: `tokens` [B, N, D] at the positions that are not hidden, noise at the others."""
        if hidden is None:
            return tokens
        batch, visible, width = tokens.shape
        holes = hidden.shape[1] - visible
        noise = drawn(tokens, (batch, holes, width), Tensor.normal_) * self.noise
        order = torch.cat([chosen_positions(~hidden, visible), chosen_positions(hidden, holes)], dim=1)
        place = torch.argsort(order, dim=1).unsqueeze(-1).expand(-1, -1, width)
        return torch.gather(torch.cat([tokens, noise], dim=1), 1, place)
