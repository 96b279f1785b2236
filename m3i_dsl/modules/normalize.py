"""Normalisations without parameters, used on representations.

Takes: tensors with channels last. Gives: the same shape. Guarantees: differentiable, dtype of the input (float32 at
least inside), no state: `standardize` always uses the statistics of the global batch.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from m3i_dsl.collectives import world
from m3i_dsl.modules.batch_norm import global_batch_norm
from m3i_dsl.modules.precision import wide


def layer(x: Tensor) -> Tensor:
    """LN0: each token of `x` [..., D] with mean 0 and biased variance 1 over its channels, eps 1e-6, no affine."""
    return F.layer_norm(wide(x), (x.shape[-1],), eps=1e-6).to(x.dtype)


def l2(x: Tensor) -> Tensor:
    """`x` [..., D] divided by its Euclidean norm over channels (at least 1e-12)."""
    return F.normalize(wide(x), dim=-1).to(x.dtype)


def standardize(x: Tensor) -> Tensor:
    """Each channel of `x` [..., D] with mean 0 and biased variance 1 over all other axes, eps 1e-5.

    Mean and variance are those of the rows of all processes, with gradient.
    It is the affine-free batch norm that ends Barlow Twins' projector (Zbontar et al. 2021).
    """
    rows = wide(x).flatten(0, -2)
    if world().size == 1:
        normed = F.batch_norm(rows, None, None, training=True, eps=1e-5)
    else:
        normed = global_batch_norm(rows, None, None, eps=1e-5)[0]
    return normed.to(x.dtype).reshape(x.shape)
