"""Images as a grid of patch vectors, the target of the pixel rows; and as a teacher takes them.

Takes: images `[B, C, H, W]`. Gives: `[B, L, P]` with P = C * patch height * patch width, or images. Guarantees: exact
inverse in `unpatchify` when not normalized; the order inside a patch is (row, column, channel) as in MAE (He et al.
2022).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from m3i_dsl.modules.precision import wide


def patchify(image: Tensor, rows: int, columns: int, normalize: bool) -> Tensor:
    """[B, rows * columns, P]: the patches of `image` [B, C, H, W], row-major; rows | H and columns | W.

    `normalize`: each patch minus its mean over P, divided by sqrt(unbiased variance + 1e-6) (MAE's `norm_pix_loss`).
    """
    batch, channels, height, width = image.shape
    patch_height, patch_width = height // rows, width // columns
    cells = image.reshape(batch, channels, rows, patch_height, columns, patch_width)
    flat = cells.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, patch_height * patch_width * channels)
    if not normalize:
        return flat
    values = wide(flat)
    # In two steps and not by `var`, whose running moments take three times as long on a CPU; as accurate, the values
    # being centred first.
    centred = values - values.mean(dim=-1, keepdim=True)
    variance = centred.square().sum(dim=-1, keepdim=True) / (values.shape[-1] - 1)
    return (centred / (variance + 1e-6).sqrt()).to(flat.dtype)


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """[B, C, height, width]: `image` [B, C, H, W] resampled, bicubic; smoothed before where it becomes smaller."""
    return F.interpolate(wide(image), (height, width), mode="bicubic", antialias=True).to(image.dtype)


def renormalize(image: Tensor, scale: str, shift: str) -> Tensor:
    """`image` [B, 3, H, W] times `scale` plus `shift`, three numbers each, in words for they are constants."""
    factor, offset = (
        torch.tensor([float(number) for number in text.split()], dtype=image.dtype, device=image.device)[:, None, None]
        for text in (scale, shift)
    )
    return image * factor + offset


def unpatchify(patches: Tensor, rows: int, columns: int, height: int, width: int) -> Tensor:
    """[B, C, height, width]: the image whose patches, not normalized, are `patches` [B, rows * columns, P]."""
    patch_height, patch_width = height // rows, width // columns
    cells = patches.reshape(patches.shape[0], rows, columns, patch_height, patch_width, -1)
    return cells.permute(0, 5, 1, 3, 2, 4).reshape(patches.shape[0], -1, height, width)
