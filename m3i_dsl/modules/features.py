"""Functions between features and losses that have no parameters.

Takes: features or scalars. Gives: the same sort. Guarantees: pure; the dtype of the input is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from m3i_dsl.modules.normalize import layer
from m3i_dsl.modules.precision import wide, without_autocast


def average_layers(taps: Tensor, last: int) -> Tensor:
    """[B, N, D]: the mean of the `last` block outputs of `taps` [B, K, N, D], each layer-normalised (data2vec)."""
    return layer(taps[:, -last:]).mean(dim=1)


def match(target: Tensor, features_x: Tensor, features_y: Tensor) -> Tensor:
    """[B, Lx, d]: for each token of x, the row of `target` [B, Ly, d] whose feature is most similar by cosine
    (DenseCL).

    `features_x` [B, Lx, D] and `features_y` [B, Ly, D] are compared; the choice has no gradient. It is made in float32
    at least: rounded to 8 bits, neighbours are often equal.
    """
    with torch.no_grad(), without_autocast(features_x):
        x, y = (normalize(wide(features), dim=-1) for features in (features_x, features_y))
        similarity = x @ y.transpose(1, 2)
        chosen = similarity.argmax(dim=-1)
    return target.gather(1, chosen.unsqueeze(-1).expand(-1, -1, target.shape[-1]))


def stop_gradient(x: Tensor) -> Tensor:
    """`x` without gradient."""
    return x.detach()


def add(*losses: Tensor) -> Tensor:
    """The sum of scalars."""
    return torch.stack(losses).sum()


def mean(*losses: Tensor) -> Tensor:
    """The mean of scalars."""
    return torch.stack(losses).mean()
