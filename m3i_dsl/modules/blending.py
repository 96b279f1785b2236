"""An image that shows two, and what share of its label is its own.

Takes: images [B, 3, H, W], those of their partners, and what was drawn for each by a word of the vocabulary. Gives: the
images that the encoder sees, and shares. Guarantees: pure functions; a share of 1 leaves an image as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mixed(image: Tensor, other: Tensor, drawn: Tensor) -> Tensor:
    """[B, 3, H, W]: a box of `other` in `image`, or where a box is empty lambda `image` + (1 - lambda) `other`.

    `drawn` f32 [B, 5] is (top, left, bottom, right, lambda), the box in pixels.
    """
    top, left, bottom, right, share = (column.reshape(-1, 1, 1, 1) for column in drawn.unbind(dim=1))
    row = torch.arange(image.shape[-2], device=image.device).reshape(1, 1, -1, 1)
    column = torch.arange(image.shape[-1], device=image.device).reshape(1, 1, 1, -1)
    inside = (row >= top) & (row < bottom) & (column >= left) & (column < right)
    empty = (bottom <= top) | (right <= left)
    share = torch.where(empty, share, torch.ones_like(share)).to(image.dtype)
    return torch.where(inside, other, share * image + (1 - share) * other)


def own_share(drawn: Tensor) -> Tensor:
    """f32 [B]: lambda, how much of its label an image keeps."""
    return drawn[:, 4]
