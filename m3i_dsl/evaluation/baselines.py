"""The two honest baselines that always stand beside a result: the same encoder untrained, and raw pixels.

Takes: images, or a way to build the encoder as it was before the first step. Gives: features of the same form as those
of the trained encoder. Guarantees: same images, same measurement; only what makes the features differs.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

LARGEST_SIDE = 32
"""Raw pixels of larger images are averaged down to this side, so that the baseline has at most 3 * 32 * 32 numbers."""


def raw_pixels(images: Tensor) -> Tensor:
    """f32 [B, 3 * h * w]: the normalised pixels, averaged over areas where a side is above LARGEST_SIDE."""
    height, width = images.shape[-2:]
    size = min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)
    return (images.float() if size == (height, width) else F.adaptive_avg_pool2d(images.float(), size)).flatten(1)


def raw_pixels_note(height: int, width: int) -> str:
    """How `raw_pixels` treats images of this size, in words."""
    if max(height, width) <= LARGEST_SIDE:
        return f"all {height} x {width} pixels"
    return f"averaged to {min(height, LARGEST_SIDE)} x {min(width, LARGEST_SIDE)} pixels"
