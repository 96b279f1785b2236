"""Pure functions that choose, swap, blend and pool tokens.

Takes: features `[B, prefix + L, D]`, boolean grids `[B, L]` in row-major order, images `[B, 3, H, W]`. Gives: tensors
of static shape: how many tokens are chosen is an argument, never read from the data. Guarantees: differentiable in the
features, the same result for every batch split that keeps pairs of rows together, no random numbers.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

PoolMode = Literal["mean", "class"]


def chosen_positions(which: Tensor, count: int) -> Tensor:
    """i64 [B, count]: the positions at which `which` bool [B, L] is True, ascending.

    Where a row has fewer True, the first positions that are False follow (see `filled`). A stable sort keeps the order
    and, unlike `nonzero`, a static shape.
    """
    return torch.argsort((~which).to(torch.uint8), dim=1, stable=True)[:, :count]


def gather_tokens(x: Tensor, which: Tensor, count: int, prefix: int = 0) -> Tensor:
    """[B, prefix + count, D]: the prefix of `x` [B, prefix + L, D], then its tokens where `which` [B, L] is True; or
    without D.

    Of one number for each token, [B, prefix + L], as many of these.
    Tokens come in ascending position; where a row of `which` has fewer than `count` True, others follow (see `filled`).
    """
    index = chosen_positions(which, count)
    if x.dim() == 3:
        index = index.unsqueeze(-1).expand(-1, -1, x.shape[-1])
    grid = torch.gather(x[:, prefix:], 1, index)
    return torch.cat([x[:, :prefix], grid], dim=1) if prefix else grid


def filled(which: Tensor, count: int) -> Tensor:
    """bool [B, count]: True where `gather_tokens` of so many found a token at which `which` bool [B, L] is True."""
    return torch.arange(count, device=which.device) < which.sum(dim=1, keepdim=True)


def token_mean(values: Tensor, filled: Tensor | None) -> Tensor:
    """The mean of `values` [B, Q]; where only those count that are `filled` bool [B, Q], of each image's mean first.

    An image without any counts 0 (iBOT): L = 1/B sum_n sum_q m_nq L_nq / max(1, sum_q m_nq).
    """
    if filled is None:
        return values.mean()
    counted = filled.to(values.dtype)
    return ((values * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)).mean()


def partner(x: Tensor) -> Tensor:
    """`x` with rows 2k and 2k + 1 swapped: what belongs to the other image of each mix. B must be even."""
    return x.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def concat(*parts: Tensor) -> Tensor:
    """One batch of several of the same shape [B, ...]: [K B, ...]."""
    return torch.cat(parts)


def split(whole: Tensor, count: int) -> tuple[Tensor, ...]:
    """The `count` batches [B, ...] that `whole` [count B, ...] is made of."""
    return whole.chunk(count)


def invert(mask: Tensor) -> Tensor:
    """The complement of a boolean mask: what is hidden of the second image of a mix, or visible instead of hidden."""
    return ~mask


def blend(first: Tensor, second: Tensor, hidden: Tensor, rows: int, columns: int) -> Tensor:
    """[B, 3, H, W]: `first`, with the patches of `second` where `hidden` bool [B, rows * columns] is True.

    The grid is upsampled to pixels without interpolation; it must divide the image.
    """
    return torch.where(upsample(hidden, rows, columns, first.shape[-2], first.shape[-1]), second, first)


def upsample(mask: Tensor, rows: int, columns: int, height: int, width: int) -> Tensor:
    """[B, 1, height, width]: `mask` [B, rows * columns] with each cell repeated over its block of pixels."""
    cells = mask.unflatten(1, (rows, columns)).unsqueeze(1)
    return cells.repeat_interleave(height // rows, dim=2).repeat_interleave(width // columns, dim=3)


def patches(x: Tensor, prefix: int) -> Tensor:
    """[B, N, D]: the grid tokens of `x` [B, prefix + N, D]."""
    return x[:, prefix:]


def pool(x: Tensor, prefix: int, mode: PoolMode) -> Tensor:
    """[B, D]: the mean of the grid tokens of `x` [B, prefix + N, D], or its class token (needs prefix >= 1)."""
    if mode == "class":
        if prefix < 1:
            raise ValueError("there is no class token to pool: prefix is 0")
        return x[:, 0]
    return x[:, prefix:].mean(dim=1)
