"""The order of samples as a pure function of the position.

Takes: a seed, what is known of a source, and positions, counted from the start of training. Gives: the epoch and the
sample of each position, and the positions of a batch. Guarantees: every epoch is a permutation of all samples; nothing
is stored, so the state of the data order is one integer, the step; processes and workers play no part in it.

Epoch e holds positions [e n, (e + 1) n). A batch never spans two epochs: what is left of each epoch is dropped, other
samples each time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.vocabulary.draws import GOLDEN, key_of, mixed

ROUNDS = 8
"""Four suffice for pseudo-randomness of large halves (Luby, Rackoff 1988); small sources have halves of few bits."""


class Order(Protocol):
    """Which sample stands at a position of training, the same in every process."""

    @property
    def samples(self) -> int:
        """How many samples the source has."""
        ...

    def at(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """int64 [P] positions -> (epochs, samples), int64 [P] each."""
        ...

    def steps_per_epoch(self, batch: int) -> int:
        """Whole batches in an epoch; 0 when there are fewer samples than a batch."""
        ...

    def batch_positions(self, step: int, batch: int) -> NDArray[np.int64]:
        """int64 [batch]: the positions of the batch at `step`, counted from the start of training."""
        ...

    def substitutes(self, position: int, batch: int) -> Iterator[int]:
        """The positions to try, in order, when the sample at `position` cannot be read: in the end its whole epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Permuted:
    """Each epoch is one permutation of all samples, whatever the batch: for sources that read any sample at once."""

    seed: int
    samples: int

    def at(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """int64 [P] positions -> (epochs, samples), int64 [P] each."""
        epochs, places = np.divmod(positions.astype(np.int64), self.samples)
        samples = np.empty_like(places)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            samples[here] = permuted(places[here], self.samples, f"order\0{self.seed}\0{epoch}")
        return epochs, samples

    def steps_per_epoch(self, batch: int) -> int:
        """Whole batches in an epoch; 0 when there are fewer samples than a batch."""
        return self.samples // batch

    def batch_positions(self, step: int, batch: int) -> NDArray[np.int64]:
        """int64 [batch]: the positions of the batch at `step`, counted from the start of training."""
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch(batch))
        first = epoch * self.samples + step_in_epoch * batch
        return np.arange(first, first + batch, dtype=np.int64)

    def substitutes(self, position: int, batch: int) -> Iterator[int]:
        """The positions to try, in order, when the sample at `position` cannot be read.

        They are at the same row of the batches that follow, so that a substitute meets neither itself in its own batch
        nor that of a neighbour, and then go through the whole epoch.
        """
        epoch, place = divmod(position, self.samples)
        return (epoch * self.samples + (place + batch + other) % self.samples for other in rows(self.samples, batch))


def rows(size: int, batch: int) -> Iterator[int]:
    """All places 0 .. size - 1, row by row of the batches that they make: every `batch`-th first."""
    return itertools.chain.from_iterable(range(row, size, batch) for row in range(min(batch, size)))


def permuted(places: NDArray[np.int64], size: int, key: str) -> NDArray[np.int64]:
    """A permutation of 0..size-1 chosen by `key`, evaluated at `places`, int64 [P] in and out.

    A Feistel network on the smallest power of two that holds `size`, walked along its cycle until the value is in range
    again (Black, Rogaway 2002, "Ciphers with arbitrary finite domains"); at most two rounds of the walk on average.
    """
    bits = max(2, (size - 1).bit_length())
    keys = mixed(np.uint64(key_of(key)) + np.arange(1, ROUNDS + 1, dtype=np.uint64) * np.uint64(GOLDEN))
    values = _feistel(places.astype(np.uint64), bits, keys)
    while (outside := np.flatnonzero(values >= size)).size:
        values[outside] = _feistel(values[outside], bits, keys)
    return values.astype(np.int64)


def _feistel(values: NDArray[np.uint64], bits: int, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of the values of `bits` bits. The halves swap sizes each round; an even number brings them back."""
    left_bits, right_bits = bits // 2, bits - bits // 2
    left, right = values >> np.uint64(right_bits), values & np.uint64((1 << right_bits) - 1)
    for key in keys:
        shuffled = (left ^ mixed(right ^ key)) & np.uint64((1 << left_bits) - 1)
        left, right = right, shuffled
        left_bits, right_bits = right_bits, left_bits
    return (left << np.uint64(right_bits)) | right
