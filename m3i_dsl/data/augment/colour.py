"""Colour operations on batches, each sample with parameters of its own.

Takes: f32 images [B, 3, H, W] in [0, 1]. Gives: the same shape and range. Guarantees: each sample equals torchvision's
functional of the same name on that image alone.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from m3i_dsl.data.transfer import on_device

LUMA = (0.2989, 0.587, 0.114)
"""The weights of red, green and blue in gray (ITU-R BT.601, the digits torchvision uses)."""

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def gray(images: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] -> [B, 1, H, W]."""
    red, green, blue = images.unbind(dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).unsqueeze(1)


def grayscale(images: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] -> [B, 3, H, W] with three equal channels."""
    return gray(images).expand_as(images)


def solarize(images: torch.Tensor, threshold: float) -> torch.Tensor:
    """Inverts every value at or above `threshold`."""
    return torch.where(images >= threshold, 1 - images, images)


def jitter(images: torch.Tensor, factors: NDArray[np.float64], order: NDArray[np.int64]) -> torch.Tensor:
    """Brightness, contrast, saturation and hue in an order of each sample's own. Writes into `images`.

    `factors` [B, 4] in that order (multipliers, and for hue a shift in turns); `order` [B, 4] names the operation that
    each of the four rounds does. Both stay on the host, so that nothing here waits for the device.

    The first three are all a blend f x + (1 - f) g with g black, the mean gray or the gray of each pixel, so one round
    does them for the whole batch at once; samples that shift hue in this round blend with f = 1 and are shifted after.
    """
    multipliers = np.take_along_axis(np.where(np.arange(4) == HUE, 1.0, factors), order, axis=1)
    rounds = np.stack([multipliers, order == CONTRAST, order == SATURATION]).transpose(2, 0, 1)  # [4, 3, B]
    blends = on_device(rounds.astype(np.float32), images.device, images.dtype)[..., None, None, None]
    turns = on_device(factors[:, HUE].astype(np.float32), images.device, images.dtype)
    for number, (factor, with_mean, with_gray) in enumerate(blends):
        images = blend(images, factor, with_mean, with_gray)
        shifting = on_device(np.flatnonzero(order[:, number] == HUE), images.device)
        shifted = shift_hue(images.index_select(0, shifting), turns.index_select(0, shifting))
        images = images.index_copy_(0, shifting, shifted)
    return images


def blend(images: torch.Tensor, factor: torch.Tensor, with_mean: torch.Tensor, with_gray: torch.Tensor) -> torch.Tensor:
    """clamp(f x + (1 - f) g) with all three of [B, 1, 1, 1].

    g is the mean gray of the image where `with_mean` is 1, the gray of each pixel where `with_gray` is 1, else black.
    """
    values = gray(images)
    means = values.mean(dim=(1, 2, 3), keepdim=True) * with_mean
    other = values.mul_(with_gray).add_(means).mul_(1 - factor)
    return torch.addcmul(other, images, factor).clamp_(0, 1)


def shift_hue(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotates hue by f32 [B] `turns` (of the whole circle), keeping value and saturation of HSV."""
    red, green, blue = images.unbind(dim=1)
    value = images.amax(dim=1)
    chroma = value - images.amin(dim=1)
    divisor = torch.where(chroma == 0, 1, chroma)
    sixth = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sixth.add_(6 * turns[:, None, None])
    # Channel n of (r, g, b) = (5, 3, 1): value - chroma * clamp(min(k, 4 - k), 0, 1), k = (n + hue) mod 6.
    starts = on_device((5.0, 3.0, 1.0), images.device, images.dtype)[:, None, None]
    k = torch.remainder(sixth.unsqueeze(1) + starts, 6)
    fade = torch.minimum(k, 4 - k).clamp_(0, 1)
    return value.unsqueeze(1) - chroma.unsqueeze(1) * fade
