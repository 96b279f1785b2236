"""Where tokens are: sines and cosines of positions, and the position of one view's patches in another view.

Takes: grids and view geometry `[B, 6]` = (top, left, height, width, flip, image width), the crop box in the source
image after its flip. Gives: tables `[L, D]` and embeddings `[B, L, 2 D]`. Guarantees: the dtype asked for or given (a
float64 geometry gives float64 positions); identity geometry gives exactly 0..G-1; no parameters, no state.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from m3i_dsl.modules.precision import without_autocast
from m3i_dsl.vocabulary.kinds import Grid


def sincos(position: Tensor, count: int) -> Tensor:
    """[..., 2 * count]: sin then cos of `position` [...] at the frequencies 1 / 10000^(k / count), k = 0..count-1."""
    exponent = torch.arange(count, dtype=position.dtype, device=position.device) / count
    angle = position.unsqueeze(-1) * torch.pow(10000.0, -exponent)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def sincos_2d(grid: Grid, width: int, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """[L, width]: the fixed table of a grid, row-major: sin, cos of the row, then sin, cos of the column.

    `width` must be a multiple of 4 (ValueError).
    """
    rows = torch.arange(grid.rows, dtype=dtype, device=device).repeat_interleave(grid.columns)
    columns = torch.arange(grid.columns, dtype=dtype, device=device).repeat(grid.rows)
    quarter = _quarter(width)
    return torch.cat([sincos(rows, quarter), sincos(columns, quarter)], dim=-1)


def resampled(table: Tensor, grid: Grid, to: Grid) -> Tensor:
    """[L', D]: a position embedding `table` [L, D] of `grid` at the places of `to`, by bicubic interpolation (DINO).

    The interpolation is separable and linear, so it is two products with fixed matrices, whose backward gives the same
    bits every time. They are in the dtype of the table: positions are as exact resampled as they are not.
    """
    rows, columns = _bicubic(grid.rows, to.rows, table), _bicubic(grid.columns, to.columns, table)
    cells = table.unflatten(0, (grid.rows, grid.columns))
    with without_autocast(table):
        return torch.einsum("pr,qc,rcd->pqd", rows, columns, cells).flatten(0, 1)


def _bicubic(count: int, to: int, like: Tensor) -> Tensor:
    """[to, count]: what resamples `count` values at `to` places, aligned at the outer edges."""
    unit = torch.eye(count, dtype=like.dtype, device=like.device)
    return F.interpolate(unit[None, None], size=(to, count), mode="bicubic", align_corners=False)[0, 0]


def relative_positions(
    geometry_x: Tensor, geometry_y: Tensor, grid_x: Grid, grid_y: Grid
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where the patches of the target view y are on the grid of the input view x of the same image.

    Gives (row [B, L_y], column [B, L_y], log height ratio [B], log width ratio [B]) in units of x's patches; row 0 is
    the centre of its first. Ratios are of a patch of y to one of x. Both crops are boxes in the flipped image, if it
    was flipped, so a column mirrors when exactly one of the views was (SiameseIM, Tao et al. 2023).
    """
    top_x, left_x, height_x, width_x, flip_x, image_width = geometry_x.unbind(dim=-1)
    top_y, left_y, height_y, width_y, flip_y, _ = geometry_y.unbind(dim=-1)
    centre_row = torch.arange(grid_y.rows, dtype=geometry_x.dtype, device=geometry_x.device) + 0.5
    centre_column = torch.arange(grid_y.columns, dtype=geometry_x.dtype, device=geometry_x.device) + 0.5
    height_ratio = height_y * grid_x.rows / (height_x * grid_y.rows)
    width_ratio = width_y * grid_x.columns / (width_x * grid_y.columns)
    down = (top_y - top_x) * grid_x.rows / height_x
    right = (left_y - left_x) * grid_x.columns / width_x
    mirrored = (image_width - left_x - left_y) * grid_x.columns / width_x
    row = height_ratio.unsqueeze(1) * centre_row + down.unsqueeze(1) - 0.5
    straight = width_ratio.unsqueeze(1) * centre_column + right.unsqueeze(1)
    reverse = mirrored.unsqueeze(1) - width_ratio.unsqueeze(1) * centre_column
    column = torch.where((flip_x != flip_y).unsqueeze(1), reverse, straight) - 0.5
    return (
        row.unsqueeze(2).expand(-1, -1, grid_y.columns).flatten(1),
        column.unsqueeze(1).expand(-1, grid_y.rows, -1).flatten(1),
        height_ratio.log(),
        width_ratio.log(),
    )


def relative_embedding(
    geometry_x: Tensor | None, geometry_y: Tensor | None, grid_x: Grid, grid_y: Grid, width: int, like: Tensor
) -> Tensor:
    """[B, L_y, 2 * width]: sin and cos of row, column, 10 log height ratio and 10 log width ratio, `width` / 4 each.

    Without geometries the views are the same: every patch is where it is and the ratios are those of the grids. The
    result has the dtype of the geometry, or of `like` [B, ...] without.
    """
    if geometry_x is None or geometry_y is None:
        # Top, left, height, width, flip and image width of the whole image, made on the device: a tensor from a list
        # would be copied to it in each step.
        zero, one = like.new_zeros(like.shape[0]), like.new_ones(like.shape[0])
        geometry_x = geometry_y = torch.stack([zero, zero, one, one, zero, one], dim=1)
    row, column, height, width_ = relative_positions(geometry_x, geometry_y, grid_x, grid_y)
    quarter = _quarter(width)
    scales = [sincos(10 * scale, quarter).unsqueeze(1).expand(-1, grid_y.tokens, -1) for scale in (height, width_)]
    return torch.cat([sincos(row, quarter), sincos(column, quarter), *scales], dim=-1).detach()


def _quarter(width: int) -> int:
    if width % 4:
        raise ValueError(f"sines and cosines of two coordinates need a width that is a multiple of 4, not {width}")
    return width // 4
