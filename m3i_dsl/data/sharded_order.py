"""The order of a source that lies in shards, local enough to stream them.

Takes: a seed, the number of samples in each shard and the batch. Gives: an `Order`. Guarantees: that of every order;
memory holds two integers a shard, none a sample; a row of the batch reads a few neighbouring shards at a time, so that
each process needs only those of its own rows.

In epoch e the shards are permuted and laid end to end, starting at a random sample. The line is cut into `lanes` equal
pieces, row i of every batch reads lane i // (batch / lanes), and a lane is shuffled within windows of a few shards.
Lanes are a function of the batch and the number of shards, never of how many processes train.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.data.order import Order, Permuted, permuted, rows
from m3i_dsl.vocabulary.draws import key_of

MOST_LANES = 64
"""Shards that are open at a time on one machine are about three a lane."""

SHARDS_A_LANE = 4
"""At least so many, or the windows of a lane would be most of it."""

WINDOW_SHARDS = 2

WINDOW_SAMPLES = 4096
"""At least so many, for shards that are small."""

KEPT_EPOCHS = 2
"""Whose shards are remembered in their order: a batch ahead may be of the next epoch."""


def order_of(seed: int, samples: int, shards: NDArray[np.int64] | None, batch: int) -> Order:
    """The order of a source: by its shards, the int64 [S] numbers of their samples, where it has some."""
    if shards is None:
        return Permuted(seed, samples)
    return Sharded(seed, shards, lanes_of(len(shards), batch))


def lanes_of(shards: int, batch: int) -> int:
    """The largest power of two that divides `batch` and leaves each lane a few shards."""
    lanes = 1
    while batch % (2 * lanes) == 0 and 2 * lanes * SHARDS_A_LANE <= shards and 2 * lanes <= MOST_LANES:
        lanes *= 2
    return lanes


class Sharded:
    """The order of shards of `counts` samples, int64 [S]."""

    def __init__(self, seed: int, counts: NDArray[np.int64], lanes: int) -> None:
        self.seed, self.lanes = seed, lanes
        self.counts = counts.astype(np.int64)
        self.starts = np.cumsum(self.counts) - self.counts
        self.samples = int(self.counts.sum())
        if self.samples < lanes:
            raise ValueError(f"{self.samples} samples in {lanes} lanes")
        self.lane = self.samples // lanes
        """Samples in a lane. The `samples mod lanes` behind the last lane are in no batch of the epoch."""
        wanted = max(WINDOW_SAMPLES, WINDOW_SHARDS * self.samples // max(1, len(counts)))
        self.windows = max(1, round(self.lane / wanted))
        """In each lane, of equal size or one more."""
        self._kept: dict[int, _Laid] = {}

    def at(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """int64 [P] positions -> (epochs, samples), int64 [P] each."""
        epochs, places = np.divmod(positions.astype(np.int64), self.samples)
        samples = np.empty_like(places)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            samples[here] = self._samples(epoch, places[here])
        return epochs, samples

    def steps_per_epoch(self, batch: int) -> int:
        """Whole batches in an epoch; 0 when there are fewer samples than a batch."""
        return self.samples // batch

    def batch_positions(self, step: int, batch: int) -> NDArray[np.int64]:
        """int64 [batch]: neighbouring rows are in one lane."""
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch(batch))
        rows = batch // self.lanes
        lane, row = np.divmod(np.arange(batch, dtype=np.int64), rows)
        return epoch * self.samples + lane * self.lane + step_in_epoch * rows + row

    def substitutes(self, position: int, batch: int) -> Iterator[int]:
        """First the later samples of the lane, from the same row of the next batch on, then the rest of the epoch."""
        epoch, place = divmod(position, self.samples)
        first, size = self._lane_of(place)
        own = batch // self.lanes  # rows of a batch
        for later in rows(size, own):
            yield epoch * self.samples + first + (place - first + own + later) % size
        for other in range(self.samples):
            if not first <= other < first + size:
                yield epoch * self.samples + other

    def shards_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The shards that hold the windows of `positions`, int64, each once, in the order of the windows."""
        found: list[int] = []
        for position in positions.tolist():
            epoch, place = divmod(position, self.samples)
            first, size = self._lane_of(place)
            low, high = self._window_of(place - first, size)
            found.extend(self._between(epoch, first + low, first + high))
        return np.array(list(dict.fromkeys(found)), dtype=np.int64)

    def _lane_of(self, place: int) -> tuple[int, int]:
        """The first place and the size of the lane; what is left behind the last one counts as a lane."""
        first = place // self.lane * self.lane if place < self.lane * self.lanes else self.lane * self.lanes
        return first, self.lane if place < self.lane * self.lanes else self.samples - first

    def _window_of(self, place: int, size: int) -> tuple[int, int]:
        bounds = np.arange(self.windows + 1, dtype=np.int64) * size // self.windows
        window = int(np.searchsorted(bounds, place, side="right")) - 1
        return int(bounds[window]), int(bounds[window + 1])

    def _samples(self, epoch: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The samples at places of one epoch."""
        line = np.empty_like(places)
        todo = np.ones(len(places), dtype=np.bool_)
        while todo.any():
            # One window after the other: a batch has as many as it has lanes.
            first, size = self._lane_of(int(places[np.argmax(todo)]))
            low, high = self._window_of(int(places[np.argmax(todo)]) - first, size)
            low, high = first + low, first + high
            here = (places >= low) & (places < high)
            line[here] = low + permuted(places[here] - low, high - low, f"window\0{self.seed}\0{epoch}\0{low}")
            todo &= ~here
        shard, within = self._located(epoch, line)
        return self.starts[shard] + within

    def _located(self, epoch: int, line: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The shards at places of the line, and the places in them."""
        laid = self._laid(epoch)
        turned = (line + laid.offset) % self.samples
        at = np.searchsorted(laid.ends, turned, side="right")
        shard = laid.shards[at]
        return shard, turned - (laid.ends[at] - self.counts[shard])

    def _between(self, epoch: int, low: int, high: int) -> list[int]:
        """The shards from place `low` to `high - 1` of the line, in its order."""
        laid = self._laid(epoch)
        turned = (np.array([low, max(low, high - 1)]) + laid.offset) % self.samples
        first, last = np.searchsorted(laid.ends, turned, side="right").tolist()
        if turned[0] <= turned[1]:
            span = [*range(first, last + 1)]
        else:  # around the end of the line
            span = [*range(first, len(laid.shards)), *range(last + 1)]
        return laid.shards[span].tolist()

    def _laid(self, epoch: int) -> _Laid:
        if epoch not in self._kept:
            while len(self._kept) >= KEPT_EPOCHS:
                del self._kept[next(iter(self._kept))]
            shards = permuted(
                np.arange(len(self.counts), dtype=np.int64), len(self.counts), f"shards\0{self.seed}\0{epoch}"
            )
            offset = key_of(f"offset\0{self.seed}\0{epoch}") % self.samples
            self._kept[epoch] = _Laid(shards, np.cumsum(self.counts[shards]), offset)
        return self._kept[epoch]


@dataclass(frozen=True, eq=False)
class _Laid:
    """The shards of one epoch end to end: int64 [S] `shards` and the places where each ends; the line starts at
    `offset`.
    """

    shards: NDArray[np.int64]
    ends: NDArray[np.int64]
    offset: int
