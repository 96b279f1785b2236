"""Moving the frame: crop to boxes and resize, or flip, keeping account in the view's state.

Takes: f32 images [B, 3, H, W] that show `state.boxes` of their sources, or one picture as decoded. Gives: the new
images. Guarantees: `state` says afterwards exactly which source pixels the images show; boxes are in source pixels, so
the true aspect is kept even where the images lie on a square canvas; a batch and one picture after the other give the
same values, but for rounding to 8 bits.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from m3i_dsl.data.augment.separable import resampling, separable
from m3i_dsl.data.transfer import on_device
from m3i_dsl.vocabulary.kinds import Mirror, ViewState, Window


def moved(images: torch.Tensor, state: ViewState, move: Mirror | Window) -> torch.Tensor:
    """The images after a step, on which `state` is moved on."""
    if isinstance(move, Window):
        return crop(images, state, move)
    move.follow(state)
    chosen = on_device(np.flatnonzero(move.flipped), images.device)
    return images.index_copy(0, chosen, images.index_select(0, chosen).flip(-1))


def crop(images: torch.Tensor, state: ViewState, window: Window) -> torch.Tensor:
    """The boxes of `window`, resampled."""
    extents = state.boxes[:, 2:]
    grid = np.array([[*images.shape[2:], *images.shape[2:]]], dtype=np.float64)
    on_canvas = window.boxes * grid / np.concatenate([extents, extents], axis=1)
    top, left, height, width = on_device(on_canvas.astype(np.float32), images.device).unbind(dim=1)
    rows = resampling(top, height, images.shape[2], window.output[0], window.interpolation)
    columns = resampling(left, width, images.shape[3], window.output[1], window.interpolation)
    window.follow(state)
    return separable(images, rows, columns)


def cut(pixels: NDArray[np.uint8], window: Window, row: int, flipped: bool) -> NDArray[np.uint8]:
    """uint8 [h, w, 3]: box `row` of `window`, of a whole picture uint8 [H, W, 3] that is mirrored first if `flipped`.

    As torchvision's RandomResizedCrop on tensors of 8 bits, which does it on them at several times the speed of
    floating-point numbers; `crop` gives the same before rounding.
    """
    top, left, height, width = window.boxes[row].tolist()
    if flipped:
        left = pixels.shape[1] - left - width
    # A copy with the strides of a batch in memory as decoded, or the kernel would turn all values around.
    part = np.array(pixels[top : top + height, left : left + width], order="C")
    box = torch.from_numpy(part).view(1, height, width, 3).permute(0, 3, 1, 2)
    shown = F.interpolate(box, size=window.output, mode=window.interpolation, antialias=True)
    return (shown.flip(-1) if flipped else shown)[0].permute(1, 2, 0).numpy()
