"""Labelled images to evaluate on, part by part.

Takes: an opened source and the size and normalisation of a view. Gives: images and categories of any part. Guarantees:
no randomness: the largest centred box of the view's aspect, resized, normalised as in training; a broken sample is left
out and named; a part is the same whoever decodes it, and whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from m3i_dsl.data.augment.boxes import centred_boxes
from m3i_dsl.data.augment.geometry import crop, cut
from m3i_dsl.data.batch import Broken
from m3i_dsl.data.decoding import Chunk, DecodingFailed, Part, Rows, Travelling, failed, put
from m3i_dsl.data.loader import decoded
from m3i_dsl.semantics.program import View
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import PART, BrokenSample, Dataset, Picture, ViewState, Window
from m3i_dsl.vocabulary.transforms.normalize import Normalize
from m3i_dsl.vocabulary.transforms.pipeline import normalization as ending

SHOWN = "image"
LABELS = "labels"


def normalization(view: View) -> Normalize:
    """The `normalize` that `view` ends in."""
    return ending([placed.word for placed in view.transforms])


def centred(picture: Picture, size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 [h, w, 3]: the largest centred part of the aspect of `size`, resampled to it. Raises BrokenSample."""
    boxes = centred_boxes(np.array([picture.size], dtype=np.int64), size[1] / size[0], 1.0)
    return cut(picture.pixels, Window(boxes, size, "bicubic"), 0, False)


@dataclass(frozen=True, eq=False)
class DecodedPart:
    """The readable samples of a part, n of them: uint8 `pixels` [n, h, w, 3], int64 `sizes` [n, 2] of the pictures as
    stored, int64 `labels` [n], and int64 `indices` [n], where they stand in the source. `broken` are the others.
    """

    pixels: torch.Tensor
    sizes: NDArray[np.int64]
    labels: torch.Tensor
    indices: NDArray[np.int64]
    broken: tuple[Broken, ...]


class LabelledSource:
    """The samples of `source`, or `limit` of them spread evenly over it, at (height, width) `size`.

    `image` and `category` are the names of the fields; where no category is asked for, labels are 0. Images are
    normalised on `device`, and decoded by so many `workers`.
    """

    def __init__(
        self,
        source: Dataset,
        *,
        size: tuple[int, int],
        normalize: Normalize,
        limit: int | None = None,
        image: str = "image",
        category: str | None = "category",
        device: torch.device | str = "cpu",
        workers: int = 0,
        data: str = "",
    ) -> None:
        self.size, self.device = size, torch.device(device)
        self._normalize, self._workers = normalize, workers
        self.whole = source.image_size()
        """(height, width) of pictures that travel whole and are cut on the device; None: they are cut when read."""
        count = len(source) if limit is None else min(limit, len(source))
        # Evenly spread: sources are often sorted by category.
        self.chosen: NDArray[np.int64] = np.arange(count, dtype=np.int64) * len(source) // max(1, count)
        self._decoder = _InOrder(data, source, self.chosen, image, category, None if self.whole else size)

    @property
    def count(self) -> int:
        """How many parts there are."""
        return -(-len(self.chosen) // PART)

    @property
    def bytes(self) -> int:
        """Of all pixels as decoded."""
        height, width = self.whole or self.size
        return len(self.chosen) * height * width * 3

    def read(self, numbers: Sequence[int]) -> Generator[DecodedPart]:
        """The parts of these numbers. Their pixels are valid until the next one is asked for.

        Raises WorkerDied, and SourceFault.
        """
        if not numbers:
            return
        workers = min(self._workers, len(self.chosen))
        with closing(decoded(_Chosen(self._decoder, numbers), 0, len(numbers), workers)) as loaded:
            for (part,) in loaded:
                pixels = part.images[SHOWN][: len(part.samples)]
                good = part.samples >= 0
                state = part.states[SHOWN]
                yield DecodedPart(
                    pixels if good.all() else pixels[torch.from_numpy(good)],
                    state.sizes[good],
                    part.values[LABELS][torch.from_numpy(good)],
                    part.samples[good],
                    part.broken,
                )

    def some(self, indices: NDArray[np.int64]) -> torch.Tensor:
        """f32 [P, 3, H, W] on the host: the samples that stand at `indices` of the source."""
        if not len(indices):
            return torch.empty(0, 3, *self.size)
        shown = np.empty((len(indices), *(self.whole or self.size), 3), dtype=np.uint8)
        sizes = np.array(
            [self._decoder.show(int(index), there)[0] for index, there in zip(indices, shown, strict=True)]
        )
        return self._normalised(torch.from_numpy(shown), sizes).cpu()

    def images(self, part: DecodedPart) -> torch.Tensor:
        """f32 [n, 3, H, W] on the device."""
        return self._normalised(part.pixels, part.sizes)

    def _normalised(self, pixels: torch.Tensor, sizes: NDArray[np.int64]) -> torch.Tensor:
        state = ViewState.whole(sizes)
        nothing = Draws(0, 0, np.zeros(len(pixels), dtype=np.int64), "evaluation")
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            images = pixels.to(self.device).permute(0, 3, 1, 2).float().div_(255)
            if self.whole:
                boxes = centred_boxes(state.sizes, self.size[1] / self.size[0], 1.0)
                images = crop(images, state, Window(boxes, self.size, "bicubic"))
            return self._normalize.apply(images, state, nothing)


@dataclass(frozen=True, slots=True)
class _InOrder:
    """Decodes `chosen` samples in their order: whole pictures, or the centred part in `size`."""

    data: str
    source: Dataset
    chosen: NDArray[np.int64]
    image: str
    category: str | None
    size: tuple[int, int] | None

    def show(self, index: int, there: NDArray[np.uint8]) -> tuple[tuple[int, int], int]:
        """Puts the picture of a sample `there` and gives its size and label. Raises BrokenSample."""
        fields = frozenset({self.image} if self.category is None else {self.image, self.category})
        sample = self.source.read(index, fields)
        picture: Picture = sample[self.image]
        put(picture.pixels if self.size is None else centred(picture, self.size), there)
        return picture.size, 0 if self.category is None else int(sample[self.category])


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The parts of some `numbers`, as a decoder whose batch at step s is part `numbers[s]`."""

    decoder: _InOrder
    numbers: Sequence[int]

    @property
    def rows(self) -> range:
        return range(PART)

    @property
    def travelling(self) -> list[Travelling]:
        decoder = self.decoder
        size = decoder.size or decoder.source.image_size()
        assert size is not None
        return [Travelling(decoder.data, PART, {SHOWN: size})]

    def decoded(self, rows: Rows, into: Sequence[Mapping[str, NDArray[np.uint8]]]) -> Chunk | DecodingFailed:
        """The samples of a broken row are -1."""
        step, first, end = rows
        decoder, start = self.decoder, self.numbers[step] * PART
        chosen = decoder.chosen[start + first : min(start + end, start + PART)]
        samples, sizes = chosen.copy(), np.ones((len(chosen), 2), dtype=np.int64)
        labels, broken = np.zeros(len(chosen), dtype=np.int64), list[Broken]()
        for row, index in enumerate(chosen.tolist()):
            try:
                sizes[row], labels[row] = decoder.show(index, into[0][SHOWN][first + row])
            except BrokenSample as fault:
                samples[row] = -1
                broken.append(Broken(decoder.data, fault.name, fault.reason))
            except Exception as fault:
                return failed(decoder.data, fault)
        states, values = {SHOWN: ViewState.whole(sizes)}, {LABELS: torch.from_numpy(labels)}
        return (Part(samples, 0, True, states, values, tuple(broken)),)
