"""Datasets of encoded images: what folders and Parquet files have in common.

Takes: a way to get the bytes of an image. Gives: decoded images of one shape. Guarantees: without a canvas all images
have one size, probed when the source is opened; one that differs later is a broken sample, named like a damaged one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.data.readers.images import stored_size
from m3i_dsl.vocabulary.kinds import BrokenSample, Dataset, Modality, Picture, Storage, Unreadable, WordError
from m3i_dsl.vocabulary.modalities import Image

HeldOut = Callable[[Storage], Dataset]
"""Opens the held-out samples of a source, whose categories are those of training. Raises WordError if it has none."""

PROBES = 8
"""Images whose headers are read when a source is opened, evenly spread."""


class StoredImages(Dataset):
    """A dataset whose images lie encoded in files. A subclass calls `probe` once it can read."""

    storage: Storage
    categories: tuple[str, ...]
    held_out: HeldOut
    shape: tuple[int, int] | None = None
    """The (height, width) of all images; None on a canvas."""

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
        """The decoded image. Raises BrokenSample."""
        try:
            picture = Image().decode(self.stored(index), self.storage)
        except (Unreadable, OSError) as error:
            raise BrokenSample(self.name(index), str(error)) from error
        if self.shape is not None and picture.size != self.shape:
            raise BrokenSample(self.name(index), f"{_times(picture.size)} pixels, the others have {_times(self.shape)}")
        return picture

    def decoded(self, index: int, modality: Modality, what: str, stored: Any) -> Any:
        """The value of another field; `what` is what a message calls the stored value. Raises BrokenSample."""
        try:
            return modality.decode(stored, self.storage)
        except Unreadable as error:
            raise BrokenSample(self.name(index), f"{what} {error}") from error

    def probed(self) -> NDArray[np.int64]:
        """int64: the samples whose headers are read when the source is opened."""
        return np.unique(np.linspace(0, len(self) - 1, PROBES).astype(np.int64))

    def probe(self, argument: str) -> None:
        """Reads a few headers to fix `shape`. Raises WordError: at `argument` when none is an image, at `canvas` when
        the sizes differ and there is no canvas."""
        sizes: dict[tuple[int, int], int] = {}
        reason = ""
        for index in self.probed().tolist():
            try:
                sizes.setdefault(stored_size(self.stored(index)), index)
            except (Unreadable, OSError) as error:
                reason = reason or f"{self.name(index)}: {error}"
        if not sizes:
            raise WordError("none of the images probed can be read", argument=argument, help=f"for example {reason}")
        if self.storage.canvas is not None:
            return
        if len(sizes) > 1:
            (first, at), (second, other) = list(sizes.items())[:2]
            raise WordError(
                f"images differ in size, such as {_times(first)} ({self.name(at)}) and {_times(second)} "
                f"({self.name(other)})",
                argument="canvas",
                help="give the side of a square that each is resampled to when read, such as `canvas: 256px`",
            )
        self.shape = next(iter(sizes))


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
