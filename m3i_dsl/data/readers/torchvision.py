"""A dataset of torchvision, as an opened source.

Takes: the name of its class and the folder of its files. Gives: samples in its order. Guarantees: an image of another
size than the others, or one that cannot be read, is a broken sample; the class is one of those that read no pickle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from torchvision import datasets

from m3i_dsl.data.readers.files import located
from m3i_dsl.data.readers.prompts import filled
from m3i_dsl.data.readers.stored import small
from m3i_dsl.vocabulary.kinds import (
    BrokenSample,
    Dataset,
    Picture,
    Sample,
    SourceDescription,
    Storage,
    Unreadable,
    WordError,
)
from m3i_dsl.vocabulary.modalities import Category, Image

PROBES = 8


class TorchvisionImages(Dataset):
    """The samples of a `split` of the class `dataset`, which an argument of the recipe names.

    `selection` is how the class is told which split that is. `held_out` opens the split to evaluate on.
    """

    def __init__(
        self,
        dataset: str,
        split: str,
        base: Path,
        argument: str,
        *,
        selection: Mapping[str, str | bool],
        held_out: Callable[[], Dataset],
        root: str,
        download: bool,
        canvas: int | None,
        prompt: str | None,
    ) -> None:
        self.dataset, self.split, self.held_out = dataset, split, held_out
        self.prompt = prompt
        try:
            files = str(located(root, base))
            self.samples: Any = getattr(datasets, dataset)(files, download=download, **selection)
        except ValueError as error:
            raise WordError(f"`{dataset}` has no split `{split}`: {error}", argument=argument) from error
        except (RuntimeError, OSError, ImportError) as error:
            raise WordError(
                f"`{dataset}` cannot be read below `{root}`: {str(error).splitlines()[0]}",
                argument="root",
                help=None if download else "write `download: true` to fetch it when the recipe is compiled",
            ) from error
        self.categories = _categories(self.samples)
        self.storage = Storage(canvas, self.categories)
        self.shape: tuple[int, int] | None = None
        if len(self.samples) == 0:
            raise WordError(f"split `{split}` of `{dataset}` has no samples", argument=argument)
        if canvas is None:
            self.shape = small({(image.height, image.width) for image, _ in map(self._sample, self._probed())})

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        image, label = self._sample(index)
        try:
            category: int = Category().decode(label, self.storage)
        except Unreadable as error:
            raise BrokenSample(self._name(index), f"category {label} {error}") from error
        sample: dict[str, Any] = {}
        if "image" in fields:
            sample["image"] = self._picture(index, image)
        if "text" in fields and self.prompt is not None:
            sample["text"] = filled(self.prompt, self.categories[category])
        if "category" in fields:
            sample["category"] = category
        return sample

    def image_size(self) -> tuple[int, int] | None:
        canvas = self.storage.canvas
        return self.shape if canvas is None else (canvas, canvas)

    def evaluation(self) -> Dataset:
        return self.held_out()

    def description(self) -> SourceDescription:
        """The fingerprint is over the class, its split, the number of samples and the bytes of a few of them."""
        content = hashlib.blake2b(f"{self.dataset}\0{self.split}\0{len(self)}".encode(), digest_size=16)
        for index in self._probed():
            image, label = self._sample(index)
            content.update(f"{label}\0{image.size}\0".encode() + image.tobytes())
        return SourceDescription(len(self), self.categories, content.hexdigest())

    def _picture(self, index: int, image: PIL.Image.Image) -> Picture:
        try:
            picture = Image().decode(image, self.storage)
        except (Unreadable, OSError, ValueError) as error:
            raise BrokenSample(self._name(index), str(error)) from error
        if self.shape is not None and picture.size != self.shape:
            raise BrokenSample(self._name(index), f"{picture.size} pixels, the others have {self.shape}")
        return picture

    def _sample(self, index: int) -> tuple[PIL.Image.Image, int]:
        try:
            image, label = self.samples[index]
            return image, int(label)
        except (OSError, ValueError, SyntaxError) as error:
            raise BrokenSample(self._name(index), str(error)) from error

    def _name(self, index: int) -> str:
        return f"{self.dataset} {self.split} {index}"

    def _probed(self) -> list[int]:
        return np.unique(np.linspace(0, len(self) - 1, PROBES).astype(np.int64)).tolist()


def _categories(samples: Any) -> tuple[str, ...]:
    """The names that the class has, or else the numbers."""
    named = getattr(samples, "classes", None)
    if named:
        return tuple(str(name) for name in named)
    labels = getattr(samples, "labels", None)
    if labels is None:
        labels = getattr(samples, "_labels", None)
    if labels is None:
        raise WordError("this torchvision data has no categories", argument="dataset")
    return tuple(str(number) for number in range(int(np.max(np.asarray(labels))) + 1))
