"""DenseCL (Wang et al. 2021): a global and a dense contrast against queues; tokens are matched by feature."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, inverse_temperature, l2, negative_log_softmax, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """parts.weights of the two: the mean vector, and every token with its most similar one of the other view."""
    x, prefix = vit_tokens(parts.vit, batch["view2"]), parts.vit.num_prefix_tokens
    q, q_dense = l2(parts.projector(x[:, prefix:].mean(dim=1))), l2(parts.projector(x)[:, prefix:])
    with torch.no_grad():
        y = vit_tokens(parts.average, batch["view1"])
        k, grid = l2(parts.average_projector(y[:, prefix:].mean(dim=1))), parts.average_projector(y)[:, prefix:]
        matched = (l2(x[:, prefix:]) @ l2(y[:, prefix:]).transpose(1, 2)).argmax(dim=2)
    scale = inverse_temperature(parts)
    whole, dense = [], []
    for n in range(len(x)):
        whole.append(negative_log_softmax(scale * torch.cat([k[n : n + 1], parts.queue]) @ q[n], 0))
        for t, own in enumerate(l2(grid[n, matched[n]])):
            dense.append(negative_log_softmax(scale * torch.cat([own[None], parts.dense_queue]) @ q_dense[n, t], 0))
    parts.pushed = (k, l2(grid.mean(dim=1)))  # what enters the two queues when the step is over
    parts.losses = [torch.stack(whole).mean(), torch.stack(dense).mean()]
    return parts.weights[0] * parts.losses[0] + parts.weights[1] * parts.losses[1]
