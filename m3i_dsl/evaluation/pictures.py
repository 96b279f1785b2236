"""Pictures of what an encoder has learned, as arrays.

Takes: features, dense grids, pixel predictions. Gives: points in the plane, colours of feature maps, reconstructions as
uint8 images. Guarantees: the same input gives the same picture; nothing here knows about pages or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from m3i_dsl.modules.pixels import patchify, unpatchify
from m3i_dsl.vocabulary.kinds import Reconstruction

Image = NDArray[np.uint8]
"""uint8 [H, W, 3]."""

HIDDEN = 0.5
"""The grey of hidden patches, in [0, 1]."""


def as_images(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> list[Image]:
    """Normalised images f32 [B, 3, H, W] as B uint8 images, with `mean` and `std` of the normalisation undone."""
    channels = (1, -1, 1, 1)
    pixels = images.detach().cpu().float() * torch.tensor(std).view(channels) + torch.tensor(mean).view(channels)
    return _uint8(pixels)


def plane(features: Tensor, *, seed: int = 0) -> NDArray[np.float32]:
    """f32 [N, 2]: t-SNE of l2-normalised features [N, D], started from their first two principal components.

    For fewer than 8 samples the principal components themselves. Source: van der Maaten and Hinton 2008.
    """
    from sklearn.manifold import TSNE

    unit = torch.nn.functional.normalize(features.detach().cpu().double(), dim=1)
    reduced = _principal_components(unit.numpy(), 50)
    # A collapsed encoder gives equal features, and a plane has nothing to show of them but one point.
    if len(reduced) < 8 or reduced.shape[1] < 2 or float(np.ptp(reduced)) < 1e-6:
        return np.pad(reduced, ((0, 0), (0, 2)))[:, :2].astype(np.float32)
    start = (1e-4 * reduced[:, :2] / reduced[:, 0].std()).astype(np.float32)
    perplexity = min(30.0, (len(unit) - 1) / 4)
    flat = TSNE(2, perplexity=perplexity, init=start, random_state=seed, n_jobs=1).fit_transform(reduced)
    return flat.astype(np.float32)


def _principal_components(rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """[N, at most count]: the coordinates of centred rows [N, D], the largest coefficient of each axis positive."""
    centred = rows - rows.mean(axis=0)
    _, _, basis = np.linalg.svd(centred, full_matrices=False)
    basis = basis[:count]
    signs = np.sign(np.take_along_axis(basis, np.abs(basis).argmax(axis=1, keepdims=True), axis=1))
    return centred @ (basis * signs).T


def balanced_sample(labels: Tensor, count: int, seed: int = 0) -> Tensor:
    """i64 [at most count], ascending: samples for a picture, as evenly over the categories as there are samples."""
    generator = np.random.default_rng(seed)
    order = torch.from_numpy(generator.permutation(len(labels)))
    rank = torch.zeros(len(labels), dtype=torch.int64)
    for category in labels.unique():
        members = order[labels[order] == category]
        rank[members] = torch.arange(len(members))
    chosen = order[torch.argsort(rank[order], stable=True)][:count]
    return chosen.sort().values


def spread(points: NDArray[np.float32], count: int) -> list[int]:
    """At most `count` indices of points [N, 2] that lie far from each other: each is the farthest from those before it.

    Axes count alike whatever their ranges; the first is the point nearest to the median.
    """
    scaled = (points - np.median(points, axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-12)
    chosen = [int(np.argmin(np.square(scaled).sum(axis=1)))]
    distance = np.full(len(points), np.inf)
    while len(chosen) < min(count, len(points)):
        distance = np.minimum(distance, np.square(scaled - scaled[chosen[-1]]).sum(axis=1))
        chosen.append(int(np.argmax(distance)))
    return chosen


def feature_maps(tokens: Tensor, rows: int, columns: int, scale: int = 1) -> list[Image]:
    """B images [rows * scale, columns * scale, 3]: the first three principal components of grid tokens as red, green,
    blue.

    tokens [B, rows * columns, D] of the images that are shown together: they share one basis, so equal colours mean
    similar features across images. Each component is stretched between its 2nd and 98th percentile. Signs are fixed by
    making the largest coefficient of each component positive.
    """
    flat = tokens.detach().cpu().double().flatten(0, 1)
    centred = flat - flat.mean(dim=0)
    _, _, basis = torch.linalg.svd(centred, full_matrices=False)
    basis = basis[:3]
    largest = basis.gather(1, basis.abs().argmax(dim=1, keepdim=True))
    values = centred @ (basis * largest.sign()).T
    low, high = values.quantile(0.02, dim=0), values.quantile(0.98, dim=0)
    colours = ((values - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    colours = torch.nn.functional.pad(colours, (0, 3 - colours.shape[1]))
    grids = colours.view(len(tokens), rows, columns, 3).permute(0, 3, 1, 2)
    return _uint8(grids.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3))


@dataclass(frozen=True, slots=True)
class Patches:
    """How pictures of patches are made: the grid, and the normalisation of the images to undo."""

    rows: int
    columns: int
    mean: Sequence[float]
    std: Sequence[float]

    def covered(self, images: Tensor, hidden: Tensor) -> list[Image]:
        """Normalised images f32 [B, 3, H, W] with the patches grey where `hidden` bool [B, L] is True."""
        images, hidden = images.detach().cpu().float(), hidden.cpu()
        grey = (HIDDEN - torch.tensor(self.mean)) / torch.tensor(self.std)
        cells = patchify(grey.view(1, 3, 1, 1).expand_as(images), self.rows, self.columns, normalize=False)
        truth = patchify(images, self.rows, self.columns, normalize=False)
        return self._images(torch.where(hidden[..., None], cells, truth), images)

    def predicted(
        self, images: Tensor, hidden: Tensor, prediction: Tensor, reconstruction: Reconstruction
    ) -> list[Image]:
        """The predicted patches where `hidden` bool [B, L] is True, those of `images` f32 [B, 3, H, W] elsewhere.

        prediction [B, L, P] of all patches, or [B, hidden, P] of the hidden ones in ascending position (as many in each
        row); P in the order (row, column, channel), brought to the values of the view by `reconstruction`.
        """
        images, hidden, prediction = images.detach().cpu().float(), hidden.cpu(), prediction.detach().cpu().float()
        truth = patchify(images, self.rows, self.columns, normalize=False)
        if prediction.shape[1] != hidden.shape[1]:
            full = torch.zeros_like(truth)
            full[hidden] = prediction.flatten(0, 1)
            prediction = full
        shown = reconstruction.patches(prediction, truth)
        return self._images(torch.where(hidden[..., None], shown, truth), images)

    def _images(self, patches: Tensor, like: Tensor) -> list[Image]:
        return as_images(unpatchify(patches, self.rows, self.columns, *like.shape[-2:]), self.mean, self.std)


def _uint8(pixels: Tensor) -> list[Image]:
    """[B, 3, H, W] in [0, 1] -> B arrays [H, W, 3]."""
    whole = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return [np.ascontiguousarray(image) for image in whole.numpy()]
