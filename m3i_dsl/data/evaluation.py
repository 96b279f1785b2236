"""Labelled images to evaluate on.

Takes: an opened source and the size and normalisation of a view. Gives: images and categories. Guarantees: no
randomness: the largest centred box of the view's aspect, resized, normalised as in training; a broken sample is left
out and named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from m3i_dsl.data.augment.boxes import centred_boxes
from m3i_dsl.data.augment.geometry import crop, cut
from m3i_dsl.data.batch import Broken
from m3i_dsl.semantics.program import View
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import BrokenSample, Dataset, Picture, Sample, ViewState, Window
from m3i_dsl.vocabulary.transforms.normalize import Normalize
from m3i_dsl.vocabulary.transforms.pipeline import normalization as ending

PART = 256
"""Images that are resized at a time."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """N samples: `images` f32 [N, 3, H, W] normalised, `labels` int64 [N], both on the host.

    Where no category was asked for, labels are 0. `indices` int64 [N] says where they stand in the source; `broken`
    what could not be read.
    """

    images: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    broken: tuple[Broken, ...]


def normalization(view: View) -> Normalize:
    """The `normalize` that `view` ends in."""
    return ending([placed.word for placed in view.transforms])


def labelled(
    source: Dataset,
    *,
    size: tuple[int, int],
    normalize: Normalize,
    limit: int | None = None,
    image: str = "image",
    category: str | None = "category",
    device: torch.device | str = "cpu",
) -> Labelled:
    """The samples of `source`, or `limit` of them spread evenly over it, at (height, width) `size`.

    `image` and `category` are the names of the fields. Images are resized on `device`.
    """
    broken: list[Broken] = []
    images: list[torch.Tensor] = []
    labels: list[int] = []
    indices: list[int] = []
    fields = frozenset({image} if category is None else {image, category})
    whole = source.image_size() is not None
    for part in _parts(source, limit, None if whole else size, fields, image, broken):
        images.append(_prepared(part, size, normalize, torch.device(device), whole=whole))
        labels.extend(0 if category is None else read.values[category] for read in part)
        indices.extend(read.index for read in part)
    return Labelled(
        images=torch.cat(images) if images else torch.empty(0, 3, *size),
        labels=torch.tensor(labels, dtype=torch.int64),
        indices=torch.tensor(indices, dtype=torch.int64),
        broken=tuple(broken),
    )


def centred(picture: Picture, size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 [h, w, 3]: the largest centred part of the aspect of `size`, resampled to it. Raises BrokenSample."""
    boxes = centred_boxes(np.array([picture.size], dtype=np.int64), size[1] / size[0], 1.0)
    return cut(picture.pixels, Window(boxes, size, "bicubic"), 0, False)


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A sample of the source: the pixels of its picture, the size of that as stored, its other values."""

    index: int
    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    values: Sample


def _parts(
    source: Dataset,
    limit: int | None,
    size: tuple[int, int] | None,
    fields: frozenset[str],
    image: str,
    broken: list[Broken],
) -> Iterator[list[_Read]]:
    """Samples with the pixels of their pictures: whole ones, or the centred part in `size`."""
    count = len(source) if limit is None else min(limit, len(source))
    # Evenly spread: sources are often sorted by category.
    chosen = np.arange(count, dtype=np.int64) * len(source) // max(1, count)
    part: list[_Read] = []
    for index in chosen.tolist():
        try:
            sample = source.read(index, fields)
            picture: Picture = sample[image]
            pixels = picture.pixels if size is None else centred(picture, size)
        except BrokenSample as fault:
            broken.append(Broken("", fault.name, fault.reason))
            continue
        values = {name: value for name, value in sample.items() if name != image}
        part.append(_Read(index, pixels, picture.size, values))
        if len(part) == PART:
            yield part
            part = []
    if part:
        yield part


def _prepared(
    part: list[_Read], size: tuple[int, int], normalize: Normalize, device: torch.device, *, whole: bool
) -> torch.Tensor:
    """f32 [N, 3, H, W] on the host."""
    state = ViewState.whole(np.array([read.size for read in part], dtype=np.int64))
    nothing = Draws(0, 0, np.zeros(len(part), dtype=np.int64), "evaluation")
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        pixels = torch.from_numpy(np.stack([read.pixels for read in part]))
        pixels = pixels.to(device).permute(0, 3, 1, 2).float().div_(255)
        if whole:
            pixels = crop(pixels, state, Window(centred_boxes(state.sizes, size[1] / size[0], 1.0), size, "bicubic"))
        return normalize.apply(pixels, state, nothing).cpu()
