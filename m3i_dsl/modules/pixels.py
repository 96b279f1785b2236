"""Images as a grid of patch vectors, the target of the pixel rows.

Takes: images `[B, C, H, W]`. Gives: `[B, L, P]` with P = C * patch height * patch width. Guarantees: exact inverse in
`unpatchify` when not normalized; the order inside a patch is (row, column, channel) as in MAE (He et al. 2022).
"""

from __future__ import annotations

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


def unpatchify(patches: Tensor, rows: int, columns: int, height: int, width: int) -> Tensor:
    """[B, C, height, width]: the image whose patches, not normalized, are `patches` [B, rows * columns, P]."""
    patch_height, patch_width = height // rows, width // columns
    cells = patches.reshape(patches.shape[0], rows, columns, patch_height, patch_width, -1)
    return cells.permute(0, 5, 1, 3, 2, 4).reshape(patches.shape[0], -1, height, width)
