"""Crop, resize and blur as one operation: a matrix for the rows and one for the columns of each image.

Takes: f32 images [B, C, H, W] and, for each sample, what to do. Gives: images resampled or blurred. Guarantees: every
sample has its own box or sigma, yet the whole batch is two batched matrix products; resampling is antialiased and
equals cropping and resizing image by image as torchvision does, without its rounding to 8 bits.
"""

from __future__ import annotations

import torch

from m3i_dsl.vocabulary.kinds import Interpolation


def separable(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W], [B, H', H], [B, W', W] -> [B, C, H', W']: out = rows @ image @ columns^T for each channel.

    Kernels that overshoot are cut off at 0 and 1 after each of the two, as they are where values have 8 bits.
    """
    batch, channels, height, width = images.shape
    narrowed = torch.bmm(images.reshape(batch, channels * height, width), columns.transpose(1, 2)).clamp_(0, 1)
    narrowed = narrowed.view(batch, channels, height, -1)
    return torch.stack([torch.bmm(rows, narrowed[:, channel]) for channel in range(channels)], dim=1).clamp_(0, 1)


def resampling(
    start: torch.Tensor, length: torch.Tensor, size: int, output: int, interpolation: Interpolation
) -> torch.Tensor:
    """Weights [B, output, size] that resample pixels [start, start + length) of a line of `size` pixels to `output`.

    `start` and `length` are f32 [B], in pixels, not necessarily whole. When shrinking, the kernel is widened by the
    scale (antialiasing). Pixels whose centre is outside the box have no weight, so a crop never sees what it cut off;
    a box without any pixel centre takes the nearest pixel.
    """
    scale = (length / output)[:, None]
    widening = scale.clamp(min=1)
    centres = start[:, None] + (torch.arange(output, device=start.device, dtype=start.dtype) + 0.5) * scale
    first = (start - 0.5).ceil().clamp(0, size - 1)
    last = torch.maximum((start + length - 0.5).ceil().clamp(max=size) - 1, first)
    pixels = torch.arange(size, device=start.device, dtype=start.dtype)
    inside = (pixels >= first[:, None]) & (pixels <= last[:, None])
    # Clamping the distance to the box keeps a row of weights from being empty when the box holds no pixel centre.
    centres = torch.minimum(torch.maximum(centres, first[:, None]), last[:, None] + 1)
    distances = ((pixels + 0.5 - centres[:, :, None]) / widening[:, :, None]).abs_()
    weights = _KERNELS[interpolation](distances).mul_(inside[:, None])
    return weights.div_(weights.sum(dim=2, keepdim=True))


def _bilinear(distances: torch.Tensor) -> torch.Tensor:
    return (1 - distances).clamp_(min=0)


def _bicubic(distances: torch.Tensor) -> torch.Tensor:
    """Keys' cubic convolution kernel with a = -1/2, as antialiased resizing in PIL and torch has it."""
    near = ((1.5 * distances - 2.5) * distances).mul_(distances).add_(1)
    far = ((2.5 - 0.5 * distances).mul_(distances).sub_(4)).mul_(distances).add_(2)
    return torch.where(distances < 1, near, torch.where(distances < 2, far, 0))


_KERNELS = {"bilinear": _bilinear, "bicubic": _bicubic}


def blur_size(size: int) -> int:
    """The kernel size for images of `size` pixels: the odd number at a tenth of it, at least 3 (23 at 224, SimCLR)."""
    return max(3, 2 * (round(size / 10) // 2) + 1)


def blurring(sigmas: torch.Tensor, size: int) -> torch.Tensor:
    """Weights [B, size, size] of a Gaussian blur with sigma f32 [B] in pixels; the border reflects."""
    radius = min(blur_size(size) // 2, size - 1)
    offsets = torch.arange(-radius, radius + 1, device=sigmas.device, dtype=sigmas.dtype)
    taps = torch.exp(-0.5 * (offsets / sigmas[:, None]).square())
    taps = taps / taps.sum(dim=1, keepdim=True)
    pixels = torch.arange(size, device=sigmas.device)
    sources = (pixels[None, :] + offsets[:, None].long()).abs()  # [taps, size]
    sources = torch.where(sources >= size, 2 * (size - 1) - sources, sources)
    hits = torch.nn.functional.one_hot(sources, size).to(sigmas.dtype)  # [taps, size, size]
    return (taps @ hits.flatten(1)).view(-1, size, size)


def blur(images: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """Blurs each of [B, 3, H, W] with its own sigma, f32 [B]."""
    height, width = images.shape[2:]
    return separable(images, blurring(sigmas, height), blurring(sigmas, width))
