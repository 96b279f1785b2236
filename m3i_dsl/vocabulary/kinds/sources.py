"""Where samples come from.

Takes: arguments of a `data` statement. Gives: a description for the checker, and the samples themselves. Guarantees: a
field that is not asked for is not read.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from m3i_dsl.vocabulary.kinds.faults import WordError
from m3i_dsl.vocabulary.kinds.modalities import Modality
from m3i_dsl.vocabulary.word import Kind, Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """What a source turned out to hold when it was opened (at `compile`; recorded in `m3i.lock`).

    `fingerprint` is a hash over the content or, for large sources, over names, sizes and modification-independent
    metadata; `categories` the class names in label order, empty without a category field.
    """

    samples: int
    categories: tuple[str, ...]
    fingerprint: str


LONGEST = 24
"""Characters of what a source reads that a picture shows; a longer one has its end cut off."""

Sample = Mapping[str, Any]
"""The decoded values of the fields that were asked for, by name; their modality says what they are."""


class BrokenSample(Exception):
    """One sample that cannot be decoded; `name` is what a user can look up (file name, row)."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Dataset:
    """Random access to an opened source."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int, fields: frozenset[str]) -> Sample:
        """The values of `fields`, of which no other is decoded. Raises BrokenSample."""

    def shards(self) -> NDArray[np.int64] | None:
        """int64 [S], the numbers of samples in the shards that follow each other, when a random sample costs its
        shard: the order of training then stays within a few of them at a time. None when any sample is at hand.
        """
        return None

    def image_size(self) -> tuple[int, int] | None:
        """(height, width) of the pixels of every picture, if they have one size and travel whole: then views are cut
        from a whole batch on the device, which pays for small ones. None: each is cut where it is decoded.
        """
        return None

    @abstractmethod
    def description(self) -> SourceDescription:
        """What it holds. Raises WordError."""

    def proven(self) -> NDArray[np.int64]:
        """int64: the samples that are decoded when a recipe is compiled and stand for the others: the first, the last
        and some between, of each shard where there are shards. Few, whatever the size of the source.
        """
        import numpy as np

        shards = self.shards()
        return spread(np.array([len(self)], dtype=np.int64) if shards is None else shards)

    def remarks(self) -> tuple[str, ...]:
        """What a person should know of it that stops nothing, such as files that are left out."""
        return ()

    def evaluation(self) -> Dataset:
        """The held-out part to evaluate on (a test split); raises WordError when the source has none."""
        raise WordError("source has no held-out split to evaluate on")


PROVEN = 16
"""Samples of a split that are decoded when a recipe is compiled, and of how many shards there are some."""


def spread(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64: samples spread evenly over shards with `counts` samples, int64 [S]: of each shard the first and the last,
    and of few shards some between; of more than PROVEN shards so many of them.
    """
    import numpy as np

    filled = np.flatnonzero(counts > 0)
    if not len(filled):
        return np.empty(0, dtype=np.int64)
    starts = np.cumsum(counts) - counts
    shards = filled[np.unique(np.linspace(0, len(filled) - 1, PROVEN).astype(np.int64))]
    each = max(2, PROVEN // len(shards))
    places = [starts[s] + np.unique(np.linspace(0, counts[s] - 1, each).astype(np.int64)) for s in shards.tolist()]
    return np.concatenate(places)


class Source(Word):
    """Where samples come from.

    `read_by` names, for each field, the argument that says where it is read: faults of the field are shown there.
    """

    kind: ClassVar[Kind] = "source"
    in_memory: ClassVar[bool] = False
    """Whether its samples lie in memory decoded, so that reading one costs nothing."""
    read_by: ClassVar[Mapping[str, str]] = {}

    def check(self) -> None:
        """Raises WordError for arguments that are wrong whatever is on the disk. Opens nothing."""
        return

    def has_held_out(self) -> bool:
        """Whether it is declared to have held-out samples to evaluate on, without opening anything."""
        return True

    def details(self) -> tuple[str, ...]:
        """What it reads when that is its first argument: a file by the last part of its path."""
        first = next(iter(self.parameters()), None)
        if first is None or first.type.form != "string":
            return ()
        last = str(getattr(self, first.name)).rstrip("/").rpartition("/")[2]
        return (last if len(last) <= LONGEST else f"{last[: LONGEST - 3]}...",)

    @abstractmethod
    def fields(self) -> Mapping[str, Modality]:
        """What the fields that it is declared to have are, by name, without opening anything."""

    def describe(self, base: Path) -> SourceDescription:
        """Opens the source (paths are relative to `base`, the recipe's folder). Raises WordError."""
        return self.open(base).description()

    @abstractmethod
    def open(self, base: Path) -> Dataset:
        """Paths are relative to `base`. Raises WordError."""
