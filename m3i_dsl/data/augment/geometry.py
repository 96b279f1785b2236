"""Moving the frame of a batch: crop to boxes and resize, or flip, keeping account in the view's state.

Takes: f32 images [B, 3, H, W] that show `state.boxes` of their sources. Gives: the new images. Guarantees: `state`
says afterwards exactly which source pixels the images show; boxes are in source pixels, so the true aspect is kept
even where the images lie on a square canvas.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from m3i_dsl.data.augment.separable import Interpolation, resampling, separable
from m3i_dsl.data.transfer import on_device
from m3i_dsl.vocabulary.kinds import ViewState


def crop(
    images: torch.Tensor,
    state: ViewState,
    boxes: NDArray[np.int64],
    output: tuple[int, int],
    interpolation: Interpolation,
) -> torch.Tensor:
    """Resamples `boxes`, int64 [B, 4] in source pixels from the corner of `state.boxes`, to `output` (h, w)."""
    shown = state.boxes
    grid = np.array([[*images.shape[2:], *images.shape[2:]]], dtype=np.float64)
    on_canvas = boxes * grid / np.concatenate([shown[:, 2:], shown[:, 2:]], axis=1)
    top, left, height, width = on_device(on_canvas.astype(np.float32), images.device).unbind(dim=1)
    rows = resampling(top, height, images.shape[2], output[0], interpolation)
    columns = resampling(left, width, images.shape[3], output[1], interpolation)
    state.boxes = np.concatenate([shown[:, :2] + boxes[:, :2], boxes[:, 2:]], axis=1)
    return separable(images, rows, columns).clamp_(0, 1)  # bicubic weights overshoot


def flip(images: torch.Tensor, state: ViewState, flipped: NDArray[np.bool_]) -> torch.Tensor:
    """Mirrors the images of bool [B] `flipped` left to right. Comes before any crop."""
    state.flipped = state.flipped ^ flipped
    chosen = on_device(np.flatnonzero(flipped), images.device)
    return images.index_copy(0, chosen, images.index_select(0, chosen).flip(-1))
