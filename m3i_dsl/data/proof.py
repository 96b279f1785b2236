"""Proving a source: a few of its samples are read just as training and evaluation will read them.

Takes: an opened split and the fields that are read of it. Gives: `Tried` for each field: how many samples gave it, and
why the others did not. Guarantees: the number of samples that are decoded is bounded, whatever the size of the source;
what one field lacks is not counted against another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from m3i_dsl.vocabulary.kinds import BrokenSample, Dataset


@dataclass(frozen=True, slots=True)
class Tried:
    """A `field` of `count` samples: the values that were read, and the samples that do not give it."""

    field: str
    count: int
    values: tuple[Any, ...]
    broken: tuple[BrokenSample, ...]


def tried(dataset: Dataset, fields: Iterable[str]) -> tuple[Tried, ...]:
    """`fields` of the samples that stand for all of `dataset`. Raises WordError."""
    samples = dataset.proven().tolist()
    found: list[Tried] = []
    for field in sorted(fields):
        values: list[Any] = []
        broken: list[BrokenSample] = []
        for sample in samples:
            try:
                values.append(dataset.read(sample, frozenset({field}))[field])
            except BrokenSample as fault:
                broken.append(fault)
        found.append(Tried(field, len(samples), tuple(values), tuple(broken)))
    return tuple(found)
