"""The order of samples: a permutation of every epoch, without state."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from m3i_dsl.data.order import Permuted, permuted

SIZES = st.integers(1, 600)
SEEDS = st.integers(0, 2**32)


@given(SIZES, SEEDS, st.integers(0, 50))
def test_every_epoch_is_a_permutation(samples: int, seed: int, epoch: int) -> None:
    epochs, order = Permuted(seed, samples).at(np.arange(epoch * samples, (epoch + 1) * samples))
    assert set(epochs.tolist()) == {epoch}
    assert sorted(order.tolist()) == list(range(samples))


@given(st.integers(1, 2**40), st.text(max_size=5), st.lists(st.integers(0, 2**40), min_size=2, max_size=20))
def test_different_places_never_meet_even_in_huge_sources(size: int, key: str, places: list[int]) -> None:
    distinct = np.unique(np.array(places) % size)
    values = permuted(distinct, size, key)
    assert len(np.unique(values)) == len(distinct)
    assert values.min() >= 0
    assert values.max() < size


@given(SIZES, SEEDS, st.data())
def test_the_sample_at_a_position_does_not_depend_on_what_else_is_asked(
    samples: int, seed: int, data: st.DataObject
) -> None:
    order = Permuted(seed, samples)
    positions = np.array(data.draw(st.lists(st.integers(0, 5 * samples), min_size=1, max_size=30)))
    together = order.at(positions)
    alone = [order.at(positions[i : i + 1]) for i in range(len(positions))]
    assert together[0].tolist() == [int(epoch[0]) for epoch, _ in alone]
    assert together[1].tolist() == [int(sample[0]) for _, sample in alone]


@given(st.integers(2, 200), SEEDS, st.data())
def test_the_order_does_not_depend_on_the_batch(samples: int, seed: int, data: st.DataObject) -> None:
    """Every batch size walks the same sequence of samples in each epoch and drops what is left at its end."""
    order = Permuted(seed, samples)
    batch = data.draw(st.integers(1, samples))
    steps = order.steps_per_epoch(batch)
    assert steps * batch <= samples < (steps + 1) * batch
    for epoch in range(2):
        walked = [order.at(order.batch_positions(epoch * steps + step, batch))[1] for step in range(steps)]
        whole = order.at(np.arange(epoch * samples, (epoch + 1) * samples))[1]
        assert np.concatenate(walked).tolist() == whole[: steps * batch].tolist()


def test_epochs_and_seeds_differ_and_every_place_sees_every_sample() -> None:
    counts = np.zeros((10, 10))
    for epoch in range(2000):
        counts[np.arange(10), Permuted(7, 10).at(np.arange(epoch * 10, epoch * 10 + 10))[1]] += 1
    assert counts.min() > 140
    assert counts.max() < 260  # 200 expected, standard deviation 13.4
    first, second = (Permuted(seed, 1000).at(np.arange(1000))[1] for seed in (0, 1))
    assert (first == second).mean() < 0.02


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_substitutes_go_through_the_whole_epoch_and_start_a_batch_later(
    samples: int, batch: int, data: st.DataObject
) -> None:
    order = Permuted(0, samples)
    position = data.draw(st.integers(0, 3 * samples - 1))
    tried = list(order.substitutes(position, batch))
    epoch = position // samples
    assert sorted(tried) == list(range(epoch * samples, (epoch + 1) * samples))
    assert tried[0] == epoch * samples + (position % samples + batch) % samples


def test_neighbours_with_many_broken_samples_do_not_take_the_same_substitute() -> None:
    order, broken = Permuted(0, 320), set(range(0, 320, 3)) | set(range(1, 320, 3))
    for step in range(4):
        positions = order.batch_positions(step, 8).tolist()
        readable = [
            next(place for place in (position, *order.substitutes(position, 8)) if place not in broken)
            for position in positions
        ]
        assert len(set(readable)) == 8
