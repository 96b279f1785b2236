"""Some of the samples of a source.

Takes: an opened source and a number. Gives: so many of its samples, in their order. Guarantees: the choice depends on
positions only, so it is the same everywhere and for every seed, and the samples of a smaller number are among those of
a larger one; both splits are cut, each to the same number.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.vocabulary.draws import GOLDEN, key_of, mixed
from m3i_dsl.vocabulary.kinds import Dataset, Sample, SourceDescription

KEY = np.uint64(key_of("subset"))


class Subset(Dataset):
    """`limit` samples of `dataset`, or all of them when it has fewer."""

    def __init__(self, dataset: Dataset, limit: int) -> None:
        self._dataset, self._limit = dataset, limit
        self._chosen = chosen(len(dataset), limit)

    def __len__(self) -> int:
        return len(self._chosen)

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        return self._dataset.read(int(self._chosen[index]), fields)

    def image_size(self) -> tuple[int, int] | None:
        return self._dataset.image_size()

    def description(self) -> SourceDescription:
        return dataclasses.replace(self._dataset.description(), samples=len(self))

    def remarks(self) -> tuple[str, ...]:
        return self._dataset.remarks()

    def evaluation(self) -> Dataset:
        return Subset(self._dataset.evaluation(), self._limit)


def limited(dataset: Dataset, limit: int | None) -> Dataset:
    """`dataset`, cut to `limit` samples if there is one."""
    return dataset if limit is None else Subset(dataset, limit)


def chosen(samples: int, limit: int) -> NDArray[np.int64]:
    """int64 [min(samples, limit)], ascending: the first `limit` positions of one fixed permutation.

    A position's place in the permutation is its own hash, not a shuffle, which would depend on `samples`.
    """
    places = mixed(KEY ^ mixed(np.arange(samples, dtype=np.uint64) + np.uint64(GOLDEN)))
    return np.sort(np.argsort(places, kind="stable")[:limit]).astype(np.int64)
