"""Samples kept in memory once they are decoded.

Takes: a dataset and a limit. Gives: the same samples. Guarantees: at most `limit` bytes are kept, and nothing of data
that is many times larger, so small data is decoded once and large data costs no memory; broken samples are tried again.
"""

from __future__ import annotations

from collections.abc import Mapping

from m3i_dsl.vocabulary.kinds import Dataset, Modality, Sample, SourceDescription

SAMPLE_BYTES = 600
"""What a sample costs beside its values: the objects around them."""

WORTH_KEEPING = 4
"""Data of so many times the limit would be found in memory too seldom."""


class Remembered(Dataset):
    """`dataset` behind a memory that is filled in the order of use. For reads of one set of fields only."""

    def __init__(self, dataset: Dataset, fields: Mapping[str, Modality], limit: int) -> None:
        self._dataset, self._fields, self._room = dataset, fields, limit
        self._samples: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        assert fields == self._fields.keys()
        if (kept := self._samples.get(index)) is not None:
            return kept
        sample = self._dataset.read(index, fields)
        if not self._room:
            return sample
        sample = {name: self._fields[name].loaded(value) for name, value in sample.items()}
        size = SAMPLE_BYTES + sum(self._fields[name].memory(value) for name, value in sample.items())
        if not self._samples and size * len(self._dataset) > WORTH_KEEPING * self._room:
            self._room = 0
        if size <= self._room:
            self._room -= size
            self._samples[index] = sample
        return sample

    def image_size(self) -> tuple[int, int] | None:
        return self._dataset.image_size()

    def description(self) -> SourceDescription:
        return self._dataset.description()

    def evaluation(self) -> Dataset:
        return self._dataset.evaluation()
