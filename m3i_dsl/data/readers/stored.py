"""Datasets of encoded images: what folders and Parquet files have in common.

Takes: a way to get the bytes of an image. Gives: images, each of its own size. Guarantees: what is probed when the
source is opened says how they travel; where that is whole, for they are small and of one size, one that differs later
is a broken sample, named like a damaged one.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.data.readers.files import lack_of_machine
from m3i_dsl.data.readers.images import picture_of
from m3i_dsl.vocabulary.kinds import BrokenSample, Dataset, Modality, Picture, Storage, Unreadable, WordError
from m3i_dsl.vocabulary.modalities import Image, Text

HeldOut = Callable[[Storage], Dataset]
"""Opens the held-out samples of a source, whose categories are those of training. Raises WordError if it has none."""

SMALL = 32 * 32
"""Pixels of pictures up to which it is faster to crop a batch of them on the device than one after the other where they
are decoded, by measurement on a processor: at 32 x 32 both take the same time, at 64 x 64 the batch takes twice as
long. On a GPU it is the workers that are spared."""

PROBES = 8
"""Images whose headers are read when a source is opened, evenly spread."""


class StoredImages(Dataset):
    """A dataset whose images lie encoded in files. A subclass calls `probe` once it can read."""

    storage: Storage
    categories: tuple[str, ...]
    held_out: HeldOut
    shape: tuple[int, int] | None = None
    """The (height, width) of all images if that is one and small, and there is no canvas."""

    def image_size(self) -> tuple[int, int] | None:
        canvas = self.storage.canvas
        return self.shape if canvas is None else (canvas, canvas)

    def evaluation(self) -> Dataset:
        return self.held_out(self.storage)

    @abstractmethod
    def stored(self, index: int) -> bytes:
        """The encoded image. Raises Unreadable, OSError."""

    @abstractmethod
    def name(self, index: int) -> str:
        """What a user can look the sample up by."""

    def image(self, index: int) -> Picture:
        """The image; its pixels are decoded when they are asked for. Raises BrokenSample, now or then."""
        with self._naming(index):
            picture = Image().decode(self.stored(index), self.storage)
        if self.shape is not None and picture.size != self.shape:
            raise BrokenSample(self.name(index), f"{_times(picture.size)} pixels, the others have {_times(self.shape)}")
        return Picture(lambda: self._pixels(index, picture), picture.size)

    def _pixels(self, index: int, picture: Picture) -> NDArray[np.uint8]:
        with self._naming(index):
            return picture.pixels

    @contextlib.contextmanager
    def _naming(self, index: int) -> Generator[None]:
        try:
            yield
        except (Unreadable, OSError) as error:
            lack_of_machine(error)
            raise BrokenSample(self.name(index), str(error)) from error

    def decoded(self, index: int, modality: Modality, what: str, stored: Any) -> Any:
        """The value of another field; `what` is what a message calls the stored value. Raises BrokenSample."""
        try:
            return modality.decode(stored, self.storage)
        except Unreadable as error:
            raise BrokenSample(self.name(index), f"{what} {error}") from error

    def captions(self, index: int, what: str, stored: str) -> tuple[str, ...]:
        """Each line of a text that is not blank. Raises BrokenSample, where there is none too."""
        lines = [line.strip() for line in stored.split("\n") if line.strip()]
        if not lines:
            raise BrokenSample(self.name(index), f"{what} has no line with a text")
        return self.decoded(index, Text(), what, lines)

    def probed(self) -> NDArray[np.int64]:
        """int64: the samples whose headers are read when the source is opened."""
        return np.unique(np.linspace(0, len(self) - 1, PROBES).astype(np.int64))

    def probe(self, argument: str) -> None:
        """Reads a few headers to fix `shape`. Raises WordError at `argument` when none is an image."""
        sizes: set[tuple[int, int]] = set()
        reason = ""
        for index in self.probed().tolist():
            try:
                sizes.add(picture_of(self.stored(index), None, self.storage.largest).size)
            except (Unreadable, OSError) as error:
                lack_of_machine(error)
                reason = reason or f"{self.name(index)}: {error}"
        if not sizes:
            raise WordError("none of the images probed can be read", argument=argument, help=f"for example {reason}")
        if self.storage.canvas is None:
            self.shape = small(sizes)


def small(sizes: set[tuple[int, int]]) -> tuple[int, int] | None:
    """The size of pictures that travel whole: those of one size, and of SMALL pixels at most."""
    height, width = next(iter(sizes))
    return (height, width) if len(sizes) == 1 and height * width <= SMALL else None


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
