"""`mixture`: several sources in one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from m3i_dsl.vocabulary.kinds import Dataset, Modality, Source, WordError


@dataclass(frozen=True, slots=True)
class MixtureOf(Source):
    """Several `data` in fixed shares of every batch: `data all = mixture(laion: 80%, imagenet: 20%)`.

    Its arguments are the names of data, with percentages that sum to 100%, or whole numbers such as `laion: 4,
    imagenet: 1`. Every batch has exactly these shares: the batch must divide into them in pairs of samples. A field
    that only some sources have may be a target: its loss is the mean over the samples that have it, and its
    candidates are theirs; views are of a field that every source has. Categories are told apart by their names: a
    name that two sources have is one category. Each source goes through its samples in epochs of its own; an epoch of
    training ends when every source has been seen at least once. Evaluation is on the first source that has categories
    and held-out samples.
    """

    name = "mixture"

    def fields(self) -> Mapping[str, Modality]:
        return {}

    def open(self, base: Path) -> Dataset:
        raise WordError("a mixture is of other data", help="open each of them")
