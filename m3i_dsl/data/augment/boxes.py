"""Where crops lie: boxes in pixels of the source image, one for each sample.

Takes: the (height, width) of B areas, int64, and draws. Gives: boxes int64 [B, 4] = (top, left, height, width) within
them. Guarantees: whole pixels, never outside, never empty.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.vocabulary.draws import Draws

ATTEMPTS = 10
"""As in torchvision's RandomResizedCrop."""


def random_boxes(
    sizes: NDArray[np.int64], scale: tuple[float, float], ratio: tuple[float, float], draws: Draws
) -> NDArray[np.int64]:
    """Boxes of a random share of the area and a random aspect (width / height, log-uniform), anywhere inside.

    sizes int64 [B, 2]. The first of ten attempts that fits; else the largest centred box whose aspect is allowed
    (Szegedy et al. 2015, as torchvision draws it).
    """
    heights, widths = sizes[:, :1], sizes[:, 1:]
    shares, aspects = np.moveaxis(draws.at("shape").uniform(ATTEMPTS, 2), 2, 0)
    areas = (heights * widths) * (scale[0] + (scale[1] - scale[0]) * shares)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    roots = np.exp((low + (high - low) * aspects) / 2)  # the square root of the aspect
    tried_heights = np.rint(np.sqrt(areas) / roots).astype(np.int64)
    tried_widths = np.rint(np.sqrt(areas) * roots).astype(np.int64)
    fits = (tried_heights > 0) & (tried_heights <= heights) & (tried_widths > 0) & (tried_widths <= widths)
    first, each = fits.argmax(axis=1), np.arange(len(sizes))
    tried = np.stack([tried_heights[each, first], tried_widths[each, first]], axis=1)
    extents = np.where(fits.any(axis=1, keepdims=True), tried, _largest(sizes, ratio))
    corners = np.floor(draws.at("corner").uniform(2) * (sizes - extents + 1)).astype(np.int64)
    corners = np.where(fits.any(axis=1, keepdims=True), corners, (sizes - extents) // 2)
    return np.concatenate([corners, extents], axis=1)


def _largest(sizes: NDArray[np.int64], ratio: tuple[float, float]) -> NDArray[np.int64]:
    """(height, width) of the largest box whose aspect is in `ratio`, int64 [B, 2]."""
    heights, widths = sizes.T
    narrowed = np.minimum(widths, np.rint(heights * ratio[1])).astype(np.int64)
    lowered = np.minimum(heights, np.rint(widths / ratio[0])).astype(np.int64)
    return np.maximum(1, np.stack([lowered, narrowed], axis=1))


def centred_boxes(sizes: NDArray[np.int64], aspect: float, share: float) -> NDArray[np.int64]:
    """The largest centred boxes of `aspect` (width / height), both sides scaled by `share`."""
    heights, widths = sizes.T.astype(np.float64)
    tall = np.minimum(heights, widths / aspect) * share
    extents = np.stack([np.rint(tall), np.rint(tall * aspect)], axis=1).astype(np.int64)
    extents = np.clip(extents, 1, sizes)
    return np.concatenate([(sizes - extents) // 2, extents], axis=1)
