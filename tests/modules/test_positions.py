"""Positions of one view's patches in another, against a walk through the pixels of the source image."""

import math

import pytest
import torch

from m3i_dsl.modules.positions import relative_embedding, relative_positions, resampled, sincos_2d
from m3i_dsl.vocabulary.kinds import Grid


def crops(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of random crop boxes in images of random width, with random flips: two float64 [count, 6]."""
    generator = torch.Generator().manual_seed(seed)
    width = torch.randint(200, 500, (count,), generator=generator).double()
    views: list[torch.Tensor] = []
    for _ in range(2):
        size = torch.randint(20, 150, (2, count), generator=generator).double()
        corner = torch.randint(0, 50, (2, count), generator=generator).double()
        flip = torch.randint(0, 2, (count,), generator=generator).double()
        views.append(torch.stack([*corner, *size, flip, width], dim=1))
    return views[0], views[1]


@pytest.mark.parametrize(("grid_x", "grid_y"), [(Grid(14, 14), Grid(14, 14)), (Grid(4, 6), Grid(3, 5))])
def test_relative_positions_match_pixel_coordinates_of_the_unflipped_image(grid_x: Grid, grid_y: Grid) -> None:
    x, y = crops(64, seed=1)
    row, column, _, _ = relative_positions(x, y, grid_x, grid_y)
    worst = 0.0
    for n in range(len(x)):
        top_x, left_x, height_x, width_x, flip_x, image = x[n].tolist()
        top_y, left_y, height_y, width_y, flip_y, _ = y[n].tolist()
        for token in range(grid_y.tokens):
            r, c = divmod(token, grid_y.columns)
            down = top_y + height_y * (r + 0.5) / grid_y.rows
            across = left_y + width_y * (c + 0.5) / grid_y.columns
            across = image - across if flip_y else across  # in the source image as it is
            across = image - across if flip_x else across  # in the source image as x saw it
            expected_row = (down - top_x) / height_x * grid_x.rows - 0.5
            expected_column = (across - left_x) / width_x * grid_x.columns - 0.5
            worst = max(worst, abs(row[n, token].item() - expected_row), abs(column[n, token].item() - expected_column))
    assert worst < 1e-11


def test_identical_boxes_give_exact_grid_positions_and_scale_one() -> None:
    x, _ = crops(32, seed=2)
    grid = Grid(14, 14)
    row, column, height, width = relative_positions(x, x, grid, grid)
    expected = torch.arange(14.0, dtype=torch.float64)
    assert torch.equal(row, expected.repeat_interleave(14).expand(32, -1))
    assert torch.equal(column, expected.repeat(14).expand(32, -1))
    assert not height.any() and not width.any()


def test_flipping_both_views_changes_nothing_and_mirrored_boxes_are_symmetric() -> None:
    x, y = crops(16, seed=3)
    grid = Grid(5, 5)
    both = [view.clone() for view in (x, y)]
    for view in both:
        view[:, 4] = 1 - view[:, 4]
    for got, expected in zip(relative_positions(*both, grid, grid), relative_positions(x, y, grid, grid), strict=True):
        assert torch.equal(got, expected)
    centred = torch.tensor([[0.0, 30.0, 40.0, 40.0, 0.0, 100.0]], dtype=torch.float64)
    flipped = centred.clone()
    flipped[:, 4] = 1
    column = relative_positions(centred, flipped, grid, grid)[1]
    torch.testing.assert_close(column[0, :5], torch.arange(4.0, -1, -1, dtype=torch.float64))


def test_scales_are_logarithms_of_the_ratio_of_patch_sizes() -> None:
    x, y = crops(8, seed=4)
    _, _, height, width = relative_positions(x, y, Grid(4, 4), Grid(4, 4))
    torch.testing.assert_close(height, (y[:, 2] / x[:, 2]).log())
    torch.testing.assert_close(width, (y[:, 3] / x[:, 3]).log())


def test_the_embedding_has_eight_groups_and_is_the_plain_table_at_identity() -> None:
    grid, width = Grid(3, 5), 16
    like = torch.zeros(2, 1, dtype=torch.float64)
    got = relative_embedding(None, None, grid, grid, width, like)
    assert got.shape == (2, 15, 2 * width) and got.dtype == torch.float64
    torch.testing.assert_close(got[0, :, :width], sincos_2d(grid, width, torch.float64))
    zero, one = torch.zeros(15, 4).double(), torch.ones(15, 4).double()
    assert torch.equal(got[0, :, width:], torch.cat([zero, one, zero, one], dim=1))


def test_embedding_groups_follow_their_definition() -> None:
    x, y = crops(2, seed=5)
    grid, width, token, channel = Grid(4, 4), 16, 6, 2
    got = relative_embedding(x, y, grid, grid, width, x)
    row, column, height, ratio = relative_positions(x, y, grid, grid)
    frequency = 10000 ** (-channel / 4)
    values = [row[0, token], column[0, token], 10 * height[0], 10 * ratio[0]]
    expected = [f(value.item() * frequency) for value in values for f in (math.sin, math.cos)]
    assert got[0, token, channel::4].tolist() == pytest.approx(expected, abs=1e-12)


def test_sincos_needs_a_multiple_of_four() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        sincos_2d(Grid(2, 2), 6, torch.float64)


def test_resampled_positions_are_as_exact_under_autocast() -> None:
    torch.manual_seed(0)
    table = torch.randn(16, 8)
    expected = resampled(table, Grid(4, 4), Grid(3, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(resampled(table, Grid(4, 4), Grid(3, 3)), expected)
