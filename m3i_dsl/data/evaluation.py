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

from m3i_dsl.data.augment.boxes import centred_boxes
from m3i_dsl.data.augment.geometry import crop
from m3i_dsl.data.batch import Broken
from m3i_dsl.semantics.program import View
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import BrokenSample, Dataset, Picture, Sample, ViewState
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
    for part in _parts(source, limit, fields, broken):
        images.extend(_prepared([sample[image] for _, sample in part], size, normalize, torch.device(device)))
        labels.extend(0 if category is None else sample[category] for _, sample in part)
        indices.extend(index for index, _ in part)
    return Labelled(
        images=torch.cat(images) if images else torch.empty(0, 3, *size),
        labels=torch.tensor(labels, dtype=torch.int64),
        indices=torch.tensor(indices, dtype=torch.int64),
        broken=tuple(broken),
    )


def _parts(
    source: Dataset, limit: int | None, fields: frozenset[str], broken: list[Broken]
) -> Iterator[list[tuple[int, Sample]]]:
    count = len(source) if limit is None else min(limit, len(source))
    # Evenly spread: sources are often sorted by category.
    chosen = np.arange(count, dtype=np.int64) * len(source) // max(1, count)
    part: list[tuple[int, Sample]] = []
    for index in chosen.tolist():
        try:
            part.append((index, source.read(index, fields)))
        except BrokenSample as fault:
            broken.append(Broken("", fault.name, fault.reason))
        if len(part) == PART:
            yield part
            part = []
    if part:
        yield part


def _prepared(
    pictures: list[Picture], size: tuple[int, int], normalize: Normalize, device: torch.device
) -> Iterator[torch.Tensor]:
    """f32 [N, 3, H, W] on the host."""
    stored = np.stack([picture.pixels for picture in pictures])
    sizes = np.array([picture.size for picture in pictures], dtype=np.int64)
    state = ViewState.whole(sizes)
    nothing = Draws(0, 0, np.zeros(len(pictures), dtype=np.int64), "evaluation")
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        pixels = torch.from_numpy(stored).to(device).permute(0, 3, 1, 2).float().div_(255)
        pixels = crop(pixels, state, centred_boxes(sizes, size[1] / size[0], 1.0), size, "bicubic")
        yield normalize.apply(pixels, state, nothing).cpu()
