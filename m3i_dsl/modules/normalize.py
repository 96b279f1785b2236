"""Normalisations without parameters, used on representations.

Takes: tensors with channels last. Gives: the same shape. Guarantees: differentiable, dtype of the input (float32 at
least inside), no state: `standardize` always uses the statistics of the batch it is given.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from m3i_dsl.modules.precision import wide


def layer(x: Tensor) -> Tensor:
    """LN0: each token of `x` [..., D] with mean 0 and biased variance 1 over its channels, eps 1e-6, no affine."""
    return F.layer_norm(wide(x), (x.shape[-1],), eps=1e-6).to(x.dtype)


def l2(x: Tensor) -> Tensor:
    """`x` [..., D] divided by its Euclidean norm over channels (at least 1e-12)."""
    return F.normalize(wide(x), dim=-1).to(x.dtype)


def standardize(x: Tensor) -> Tensor:
    """Each channel of `x` [..., D] with mean 0 and biased variance 1 over all other axes, eps 1e-5.

    It is the affine-free batch norm that ends Barlow Twins' projector (Zbontar et al. 2021).
    """
    rows = wide(x).flatten(0, -2)
    return F.batch_norm(rows, None, None, training=True, eps=1e-5).to(x.dtype).reshape(x.shape)
