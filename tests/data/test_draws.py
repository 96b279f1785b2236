"""Random numbers as a function of (seed, epoch, sample, slot)."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from m3i_dsl.vocabulary.draws import Draws

IDS = st.lists(st.integers(0, 2**50), min_size=1, max_size=20)


@given(IDS, st.integers(0, 2**31), st.integers(0, 1000), st.data())
def test_a_row_depends_on_its_own_sample_only(ids: list[int], seed: int, epoch: int, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(ids) - 1))
    together = Draws(seed, epoch, np.array(ids), "view/crop").uniform(3, 2)
    alone = Draws(seed, epoch, np.array(ids[row : row + 1]), "view/crop").uniform(3, 2)
    assert together.shape == (len(ids), 3, 2)
    assert together[row].tolist() == alone[0].tolist()


def test_seed_epoch_sample_and_slot_all_matter() -> None:
    base = Draws(0, 0, np.arange(100), "a").uniform(4)
    others = (
        Draws(1, 0, np.arange(100), "a"),
        Draws(0, 1, np.arange(100), "a"),
        Draws(0, 0, np.arange(100) + 1000, "a"),
        Draws(0, 0, np.arange(100), "b"),
        Draws(0, 0, np.arange(100), "a").at("b"),
    )
    for other in others:
        numbers = other.uniform(4)
        assert not np.isin(numbers, base).any()
        assert abs(np.corrcoef(numbers.ravel(), base.ravel())[0, 1]) < 0.2


def test_numbers_are_uniform_in_samples_and_within_a_sample() -> None:
    numbers = Draws(3, 1, np.arange(1000), "x").uniform(100)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts, _ = np.histogram(numbers, bins=50, range=(0, 1))
    chi_square = ((counts - 2000) ** 2 / 2000).sum()
    assert chi_square < 90  # 49 degrees of freedom: 99.97% of uniform draws are below
    assert abs(numbers.mean(axis=0) - 0.5).max() < 0.05
    assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.12


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    draws = Draws(0, 0, np.arange(5), "x")
    assert draws.uniform(10)[:, :4].tolist() == draws.uniform(4).tolist()
