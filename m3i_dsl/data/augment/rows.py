"""Doing a step on some samples of a batch only.

Takes: images, the rows chosen on the host, and a function. Gives: images in which only those rows have changed.
Guarantees: rows that are not chosen keep their bits, and cost nothing but the copy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from m3i_dsl.data.transfer import on_device
from m3i_dsl.vocabulary.draws import Draws


def chosen(draws: Draws, p: float) -> NDArray[np.int64]:
    """The rows that a step of probability `p` is done on, ascending."""
    return np.flatnonzero(draws.at("p").uniform() < p)


def on_rows(
    images: torch.Tensor, rows: NDArray[np.int64], step: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """`step` maps the chosen images [R, 3, H, W] to the same shape; it may write into them."""
    if rows.size == 0:
        return images
    index = on_device(rows, images.device)
    return images.index_copy(0, index, step(images.index_select(0, index)))


def per_row(values: NDArray[np.float64], rows: NDArray[np.int64], like: torch.Tensor) -> torch.Tensor:
    """The parameters of the chosen rows, [R, ...], with the type and on the device of `like`."""
    return on_device(values[rows], like.device, like.dtype)
