"""The order of shards: a permutation of every epoch that needs only a few shards at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from m3i_dsl.data import sharded_order
from m3i_dsl.data.order import Permuted
from m3i_dsl.data.sharded_order import Sharded, lanes_of, order_of

RAGGED = st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(lambda counts: sum(counts) > 0)
BATCHES = st.sampled_from([1, 2, 4, 6, 8, 12, 16, 24, 32])


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or all samples of a test would be one window."""
    monkeypatch.setattr(sharded_order, "WINDOW_SAMPLES", 5)


def sharded(counts: list[int], batch: int, seed: int = 3) -> Sharded:
    lanes = lanes_of(len(counts), batch)
    while lanes > sum(counts):
        lanes //= 2
    return Sharded(seed, np.array(counts), lanes)


def shard_at(order: Sharded, samples: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.searchsorted(order.starts + order.counts, samples, side="right")


@given(RAGGED, BATCHES, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_every_epoch_is_a_permutation_and_a_batch_is_a_part_of_it(counts: list[int], batch: int, epoch: int) -> None:
    order = sharded(counts, batch)
    samples = order.samples
    epochs, shown = order.at(np.arange(epoch * samples, (epoch + 1) * samples))
    assert set(epochs.tolist()) == {epoch}
    assert sorted(shown.tolist()) == list(range(samples))
    steps = order.steps_per_epoch(batch)
    assert steps == samples // batch
    if steps:
        positions = np.concatenate([order.batch_positions(epoch * steps + step, batch) for step in range(steps)])
        assert len(np.unique(positions)) == steps * batch
        assert (positions // samples == epoch).all()


@given(RAGGED, BATCHES, st.data())
@settings(max_examples=40, deadline=None)
def test_a_position_is_read_alike_whatever_else_is_asked(counts: list[int], batch: int, data: st.DataObject) -> None:
    """So neither workers, nor processes, nor the step that training was entered at can change it."""
    order = sharded(counts, batch)
    positions = np.array(data.draw(st.lists(st.integers(0, 4 * order.samples), min_size=1, max_size=20)))
    together = order.at(positions)[1].tolist()
    assert together == [int(sharded(counts, batch).at(positions[i : i + 1])[1][0]) for i in range(len(positions))]


@given(st.lists(st.integers(1, 40), min_size=8, max_size=60), st.sampled_from([8, 16, 32]))
@settings(max_examples=40, deadline=None)
def test_a_row_reads_few_shards_at_a_time(counts: list[int], batch: int) -> None:
    """Row by row, each run of steps stays within the shards of the windows that it goes through."""
    order = sharded(counts, batch)
    steps = order.steps_per_epoch(batch)
    rows = batch // order.lanes
    window = -(-order.lane // order.windows)
    smallest = np.sort(order.counts)
    for lane in range(order.lanes):
        for first in range(0, steps - 3, 4):
            own = slice(lane * rows, (lane + 1) * rows)
            positions = np.concatenate([order.batch_positions(first + k, batch)[own] for k in range(4)])
            touched = set(shard_at(order, order.at(positions)[1]).tolist())
            longest = (-(-4 * rows // window) + 1) * window  # samples of all windows that four steps can meet
            assert len(touched) <= np.searchsorted(np.cumsum(smallest), longest, side="right") + 2
            assert touched <= set(order.shards_of(positions).tolist())


def test_forty_thousand_ragged_shards_cost_two_numbers_each() -> None:
    counts = np.random.default_rng(0).integers(8_000, 11_000, 41_408)
    order = Sharded(0, counts, lanes_of(len(counts), 32_768))
    assert (order.lanes, order.samples) == (64, int(counts.sum()))
    for step in (0, order.steps_per_epoch(32_768) - 1, 3 * order.steps_per_epoch(32_768) + 17):
        positions = order.batch_positions(step, 32_768)
        samples = order.at(positions)[1]
        assert len(np.unique(samples)) == 32_768
        for rank in range(64):
            assert len(np.unique(shard_at(order, samples[rank * 512 : (rank + 1) * 512]))) <= 4
    arrays = [value for laid in order._kept.values() for value in (laid.shards, laid.ends)]
    assert sum(array.nbytes for array in (order.counts, order.starts, *arrays)) <= 6 * 8 * len(counts)


def test_epochs_differ_in_order_and_in_what_is_left_out() -> None:
    order = sharded([50] * 9, 64)
    steps = order.steps_per_epoch(64)
    shown = [
        order.at(np.concatenate([order.batch_positions(epoch * steps + s, 64) for s in range(steps)]))[1].tolist()
        for epoch in range(60)
    ]
    assert shown[0] != shown[1]
    assert len({frozenset(epoch) for epoch in shown}) == 60
    counts = np.bincount(np.concatenate(shown), minlength=450)
    assert counts.min() >= 45, "no sample is left out much more often than the others"


def test_one_shard_of_the_same_samples_moves_through_the_whole_batch() -> None:
    order = sharded([20] * 16, 16)
    assert order.lanes == 4
    seen = np.zeros((16, 16), dtype=bool)
    for epoch in range(200):
        samples = order.at(order.batch_positions(epoch * order.steps_per_epoch(16), 16))[1]
        seen[shard_at(order, samples), np.arange(16)] = True
    assert seen.all()


@given(RAGGED, BATCHES, st.data())
@settings(max_examples=40, deadline=None)
def test_substitutes_go_through_the_whole_epoch_the_own_lane_first(
    counts: list[int], batch: int, data: st.DataObject
) -> None:
    order = sharded(counts, batch)
    position = data.draw(st.integers(0, 3 * order.samples - 1))
    tried = list(order.substitutes(position, batch))
    epoch = position // order.samples
    assert sorted(tried) == list(range(epoch * order.samples, (epoch + 1) * order.samples))
    lane = (position % order.samples) // order.lane
    if lane < order.lanes:
        assert {(place % order.samples) // order.lane for place in tried[: order.lane]} == {lane}


def test_more_lanes_than_batch_or_shards_is_never_chosen() -> None:
    assert [lanes_of(*case) for case in ((1, 64), (4, 64), (8, 64), (8, 3), (10**6, 96), (10**6, 4096), (16, 2))] == [
        1, 1, 2, 1, 32, 64, 2,
    ]  # fmt: skip
    assert isinstance(order_of(0, 10, None, 2), Permuted)
    assert isinstance(order_of(0, 10, np.array([4, 6]), 2), Sharded)
