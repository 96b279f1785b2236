"""The handwritten digits that ship with scikit-learn, as an opened source.

Takes: nothing. Gives: 1,797 images of 8x8 (Alpaydin, Kaynak 1998, UCI), each with its category and a caption.
Guarantees: every fifth sample is held out; captions are fixed, and vary among samples of a category.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.vocabulary.draws import GOLDEN, mixed
from m3i_dsl.vocabulary.kinds import Dataset, Picture, Sample, SourceDescription

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

TEMPLATES = (
    "a handwritten digit {word}",
    "a photo of the digit {digit}",
    "the number {word} written by hand",
    "a scan of a handwritten {digit}",
    "the digit {word}, small and gray",
    "handwriting: {digit}",
    "somebody wrote the number {digit}",
    "this is a {word}",
)

SIZE = (8, 8)

HELD_OUT = 5
"""Every fifth sample is for evaluation."""


class Digits(Dataset):
    """One part of the digits: the held-out samples, or the others. Indices count within the part."""

    def __init__(self, held_out: bool) -> None:
        self.images, self.labels = _load()
        everything = np.arange(len(self.labels))
        self.held_out = held_out
        self.ids = everything[(everything % HELD_OUT == HELD_OUT - 1) == held_out]

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        place = self.ids[index]
        label = int(self.labels[place])
        sample: dict[str, Any] = {}
        if "image" in fields:
            sample["image"] = Picture(self.images[place], SIZE)
        if "text" in fields:
            sample["text"] = caption(int(place), label)
        if "category" in fields:
            sample["category"] = label
        return sample

    def image_size(self) -> tuple[int, int]:
        return SIZE

    def evaluation(self) -> Dataset:
        return Digits(held_out=True)

    def description(self) -> SourceDescription:
        which = b"held out" if self.held_out else b""
        content = hashlib.blake2b(self.images.tobytes() + self.labels.tobytes() + which, digest_size=16)
        return SourceDescription(len(self), tuple(str(digit) for digit in range(10)), content.hexdigest())


def caption(place: int, label: int) -> str:
    """The caption of the sample at `place`: a template drawn by its place."""
    drawn = int(mixed(np.array([place + 1], dtype=np.uint64) * np.uint64(GOLDEN))[0] % np.uint64(len(TEMPLATES)))
    return TEMPLATES[drawn].format(word=WORDS[label], digit=label)


def _load() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """uint8 [1797, 8, 8, 3] and int64 [1797]. Gray levels 0..16 become 0..255."""
    from sklearn.datasets import load_digits

    pixels, labels = (np.asarray(part) for part in load_digits(return_X_y=True))  # typed as pandas, if that is there
    gray = np.rint(pixels.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    return gray.repeat(3, axis=3), labels.astype(np.int64)
