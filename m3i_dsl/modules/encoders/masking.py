"""Mask tokens on the stems of hierarchical models and on pixels.

Takes: a map and a mask on the final grid. Gives: the map with the mask token where the mask, repeated over the cells
below each token of the grid, is True. Guarantees: static shapes; the grid must divide the map.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from m3i_dsl.modules.tokens import upsample
from m3i_dsl.vocabulary.kinds import FeatureShape, Grid

TokenMode = Literal["all", "drop", "mask"]


def mask_token(width: int, wanted: bool) -> nn.Parameter | None:
    """A mask token of `width` channels, N(0, 0.02) (MAE), or None when it is not `wanted`."""
    return nn.Parameter(torch.randn(width) * 0.02) if wanted else None


def cover_nhwc(x: Tensor, hidden: Tensor | None, grid: Grid, token: nn.Parameter | None) -> Tensor:
    """`x` [B, H, W, D] with `token` [D] where `hidden` [B, L] is True."""
    if hidden is None:
        return x
    mask = upsample(hidden, grid.rows, grid.columns, x.shape[1], x.shape[2]).squeeze(1).unsqueeze(-1)
    return torch.where(mask, _given(token).to(x.dtype), x)


def cover_nchw(x: Tensor, hidden: Tensor | None, grid: Grid, token: nn.Parameter | None) -> Tensor:
    """`x` [B, D, H, W] with `token` [D] where `hidden` [B, L] is True."""
    if hidden is None:
        return x
    mask = upsample(hidden, grid.rows, grid.columns, x.shape[2], x.shape[3])
    return torch.where(mask, _given(token).to(x.dtype)[:, None, None], x)


def cover_tokens(x: Tensor, hidden: Tensor | None, token: nn.Parameter | None) -> Tensor:
    """`x` [B, L, D] with `token` [D] where `hidden` [B, L] is True."""
    if hidden is None:
        return x
    return torch.where(hidden.unsqueeze(-1), _given(token).to(x.dtype), x)


def grid_of(image: Tensor, shape: FeatureShape) -> Grid:
    """The tokens of an image [B, 3, H, W], of the model's own size or another."""
    height, width = image.shape[-2], image.shape[-1]
    if (height, width) == shape.image:
        return shape.grid
    return Grid(height // shape.stride, width // shape.stride)


def only_masking(hidden: Tensor | None, tokens: TokenMode, isolate: Tensor | None) -> None:
    """Raises ValueError for what only a ViT can do; the checker rejects it before."""
    if hidden is not None and tokens == "drop":
        raise ValueError("only a plain ViT can drop tokens: other models need their grid")
    if isolate is not None:
        raise ValueError("only a plain ViT can isolate the tokens of two images")


def _given(token: nn.Parameter | None) -> nn.Parameter:
    if token is None:
        raise ValueError("this encoder was built without a mask token")
    return token
