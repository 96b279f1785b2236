"""Masks: exact counts, rows that depend on their own sample, and the shapes that the words promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import Grid, Mask, WordError
from m3i_dsl.vocabulary.masks import BlocksMask, GridMask, InverseBlocksMask, RandomMask, TokensMask

RATIOS = st.floats(0.05, 0.95)


@st.composite
def masks_that_fit(draw: st.DrawFn) -> tuple[Mask, Grid, int]:
    """A mask with a grid and a stride that it can be drawn on."""
    grid = Grid(draw(st.integers(2, 15)), draw(st.integers(2, 15)))
    ratio = draw(RATIOS)
    stride = draw(st.sampled_from([4, 8, 16]))
    side = draw(st.sampled_from([d for d in (1, 2, 3, 4) if grid.rows % d == 0 and grid.columns % d == 0]))
    mask = draw(
        st.sampled_from(
            [
                RandomMask(ratio),
                BlocksMask(ratio, minimum=draw(st.integers(1, 16))),
                InverseBlocksMask(ratio, block=draw(st.integers(1, 3))),
                GridMask(ratio, cell=side * stride),
            ]
        )
    )
    try:
        mask.hidden(grid, stride)
    except WordError:
        from hypothesis import reject

        reject()
    return mask, grid, stride


@given(masks_that_fit(), st.integers(0, 2**31), st.integers(0, 99), st.integers(0, 2**40))
def test_every_row_hides_exactly_the_promised_number_and_depends_on_its_sample(
    fitting: tuple[Mask, Grid, int], seed: int, epoch: int, first: int
) -> None:
    mask, grid, stride = fitting
    samples = np.arange(first, first + 9)
    hidden = mask.sample(Draws(seed, epoch, samples, "view/mask"), grid, stride)
    assert hidden.dtype == np.bool_
    assert hidden.shape == (9, grid.tokens)
    assert set(hidden.sum(axis=1).tolist()) == {mask.hidden(grid, stride)}
    alone = mask.sample(Draws(seed, epoch, samples[5:6], "view/mask"), grid, stride)
    assert alone[0].tolist() == hidden[5].tolist()


VIT = Grid(14, 14)


@pytest.mark.parametrize(
    ("mask", "hidden"),
    [
        (RandomMask(), 147),  # MAE keeps 49
        (BlocksMask(), 118),  # SiameseIM
        (BlocksMask(0.5), 98),  # half of the patches, for a mix
        (BlocksMask(75 / 196), 75),  # BEiT
        (BlocksMask(120 / 196), 120),  # data2vec
        (InverseBlocksMask(), 157),  # data2vec 2
        (GridMask(), 120),  # SimMIM: 30 of 49 cells
    ],
)
def test_the_counts_of_the_references_at_224(mask: Mask, hidden: int) -> None:
    assert mask.hidden(VIT, 16) == hidden


@given(RATIOS, st.integers(2, 20), st.integers(2, 20))
def test_random_keeps_the_whole_part_of_the_visible_share(ratio: float, rows: int, columns: int) -> None:
    tokens = rows * columns
    visible = math.floor(round(tokens * (1 - ratio), 6))
    if visible == 0:
        with pytest.raises(WordError, match="hides every token"):
            RandomMask(ratio).hidden(Grid(rows, columns), 16)
    else:
        assert RandomMask(ratio).hidden(Grid(rows, columns), 16) == tokens - visible


def test_ten_percent_of_ten_is_one_in_spite_of_floats() -> None:
    assert 10 * (1 - 0.9) < 1
    assert RandomMask(0.9).hidden(Grid(2, 5), 16) == 9


@pytest.mark.parametrize("percent", range(1, 100))
def test_a_hundred_cells_or_tokens_hide_exactly_the_percentage(percent: int) -> None:
    """Floats are off on both sides: 100 * 0.07 is above 7, 100 * 0.29 below 29."""
    grid = Grid(10, 10)
    for mask in (RandomMask(percent / 100), BlocksMask(percent / 100, minimum=1), GridMask(percent / 100, cell=16)):
        assert mask.hidden(grid, 16) == percent, mask.text()


def test_counts_round_as_the_words_say() -> None:
    grid = Grid(10, 10)
    assert [GridMask(ratio, cell=16).hidden(grid, 16) for ratio in (0.071, 0.0799)] == [8, 8]  # up
    assert [GridMask(ratio, cell=32).hidden(grid, 16) for ratio in (0.04, 0.041, 0.5)] == [4, 8, 52]  # of 25 cells
    assert 100 * 0.145 < 14.5
    assert [BlocksMask(ratio, minimum=1).hidden(grid, 16) for ratio in (0.144, 0.145, 0.155)] == [14, 15, 16]  # half up


def test_random_hides_every_token_equally_often() -> None:
    hidden = RandomMask().sample(Draws(0, 0, np.arange(4000), "m"), Grid(4, 4), 16)
    assert abs(hidden.mean(axis=0) - 0.75).max() < 0.04


def _neighbours(hidden: np.ndarray, grid: Grid) -> float:
    """How often the right-hand neighbour of a hidden token is hidden."""
    image = hidden.reshape(-1, grid.rows, grid.columns)
    return float((image[:, :, :-1] & image[:, :, 1:]).sum() / image[:, :, :-1].sum())


def test_blocks_hide_connected_areas_and_random_does_not() -> None:
    draws = Draws(0, 0, np.arange(200), "m")
    blocks = BlocksMask(0.5).sample(draws, VIT, 16)
    scattered = RandomMask(0.5).sample(draws, VIT, 16)
    assert _neighbours(scattered, VIT) == pytest.approx(0.5, abs=0.03)
    assert _neighbours(blocks, VIT) > 0.8


def test_most_of_a_block_mask_is_rectangles_of_the_least_area() -> None:
    """BEiT reaches its count by rectangles alone in most draws; the single tokens that fill up must stay few."""
    hidden = BlocksMask(0.5).sample(Draws(0, 0, np.arange(100), "m"), VIT, 16).reshape(-1, 14, 14)
    padded = np.pad(hidden, ((0, 0), (1, 1), (1, 1)))
    lonely = hidden & ~(padded[:, :-2, 1:-1] | padded[:, 2:, 1:-1] | padded[:, 1:-1, :-2] | padded[:, 1:-1, 2:])
    assert lonely.sum() / hidden.sum() < 0.03


def test_inverse_blocks_keep_blocks_whole_but_the_last() -> None:
    mask = InverseBlocksMask()
    hidden = mask.sample(Draws(0, 0, np.arange(200), "m"), VIT, 16).reshape(-1, 14, 14)
    windows = np.lib.stride_tricks.sliding_window_view(~hidden, (3, 3), axis=(1, 2)).all(axis=(3, 4))
    in_block = np.zeros_like(hidden)
    for row in range(3):
        for column in range(3):
            in_block[:, row : row + 12, column : column + 12] |= windows
    border = np.zeros((14, 14), dtype=bool)
    border[[0, 1, -2, -1], :] = border[:, [0, 1, -2, -1]] = True
    stray = (~hidden & ~in_block & ~border).sum(axis=(1, 2))  # blocks at the border are cut, so look inside only
    assert stray.max() <= 8  # what is left of one block of nine
    assert (~hidden).sum(axis=(1, 2)).tolist() == [39] * 200


def test_grid_hides_whole_cells() -> None:
    hidden = GridMask().sample(Draws(0, 0, np.arange(50), "m"), VIT, 16).reshape(-1, 7, 2, 7, 2)
    cells = hidden.all(axis=(2, 4))
    assert (cells == hidden.any(axis=(2, 4))).all()
    assert cells.sum(axis=(1, 2)).tolist() == [30] * 50


@pytest.mark.parametrize(
    ("mask", "grid", "stride", "argument", "message"),
    [
        (GridMask(cell=24), VIT, 16, "cell", "24px is not a whole number of tokens of 16px"),
        (GridMask(cell=16), Grid(7, 7), 32, "cell", "16px is not a whole number of tokens of 32px"),
        (GridMask(cell=32), Grid(7, 7), 16, "cell", "32px do not fill an image of 112x112px"),
        (GridMask(cell=32), Grid(7, 8), 16, "cell", "32px do not fill an image of 112x128px"),
        (GridMask(cell=32), Grid(8, 7), 16, "cell", "32px do not fill an image of 128x112px"),
        (GridMask(0.99, cell=32), Grid(2, 2), 32, "ratio", "hides every token of a 2x2 grid"),
        (BlocksMask(0.5), Grid(4, 4), 16, "minimum", "16 tokens is more than the 8 hidden tokens"),
        (InverseBlocksMask(block=5), Grid(4, 4), 16, "block", "5x5 tokens is larger than the 4x4 grid"),
        (RandomMask(0.99), Grid(4, 4), 16, "ratio", "hides every token of a 4x4 grid"),
        (BlocksMask(0.01, minimum=1), Grid(4, 4), 16, "ratio", "hides no token of a 4x4 grid"),
    ],
)
def test_a_mask_that_cannot_fit_points_to_its_argument(
    mask: Mask, grid: Grid, stride: int, argument: str, message: str
) -> None:
    for call in (
        lambda: mask.hidden(grid, stride),
        lambda: mask.sample(Draws(0, 0, np.arange(2), "m"), grid, stride),
    ):
        with pytest.raises(WordError, match=message) as caught:
            call()
        assert caught.value.argument == argument


def test_a_share_of_the_images_hides_a_ratio_of_a_range() -> None:
    """iBOT's `--pred_ratio 0 0.3 --pred_ratio_var 0 0.2`: half of the images none, the others 20 to 98 of 196."""
    mask, images = BlocksMask((0.1, 0.5), share=0.5, tokens="mask"), np.arange(4000)
    counts = mask.sample(Draws(0, 0, images, "view/mask"), VIT, 16).sum(axis=1)
    shown = counts == 0
    assert abs(shown.mean() - 0.5) < 0.03
    assert (counts[~shown].min(), counts.max(), mask.hidden(VIT, 16)) == (20, 98, 98)
    tenths = np.histogram(counts[~shown], bins=np.linspace(19.6, 98, 11))[0] / (~shown).sum()
    assert np.abs(tenths - 0.1).max() < 0.03, "the ratio is uniform"
    same = [BlocksMask(ratio, tokens="mask").sample(Draws(0, 0, images, "m"), VIT, 16) for ratio in (0.3, (0.3, 0.3))]
    assert np.array_equal(*same), "a range of one ratio is that ratio"
    for varying, argument in ((BlocksMask((0.1, 0.5)), "tokens"), (BlocksMask(0.5, share=0.5), "share")):
        with pytest.raises(WordError) as fault:
            varying.hidden(VIT, 16)
        assert fault.value.argument == argument


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), RATIOS, st.integers(0, 2**31))
def test_of_each_text_some_of_its_own_tokens_are_hidden(lengths: list[int], ratio: float, seed: int) -> None:
    hideable = np.array([[1 <= place <= length for place in range(24)] for length in lengths])
    mask, draws = TokensMask(ratio), Draws(seed, 0, np.arange(len(lengths)), "text/mask")
    hidden = mask.sample_texts(draws, hideable)
    assert not (hidden & ~hideable).any()
    counts = [min(length, max(1, math.floor(length * ratio + 0.5 + 1e-9))) for length in lengths]
    assert hidden.sum(axis=1).tolist() == counts
    assert max(counts) <= mask.hidden(Grid(1, 24), 1)
    last = mask.sample_texts(Draws(seed, 0, np.arange(len(lengths))[-1:], "text/mask"), hideable[-1:])
    assert last[0].tolist() == hidden[-1].tolist()
    again = mask.sample_texts(Draws(seed, 1, np.arange(len(lengths)), "text/mask"), hideable)
    assert again.sum() == hidden.sum()
