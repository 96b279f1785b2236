"""SimCLR (Chen et al. 2020): a view finds the other view of its image among all views of the batch but itself."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, gap, l2, negative_log_softmax


def loss(parts: Parts, batch: Batch) -> Tensor:
    """NT-Xent over 2N views, the means of both halves added: google-research/simclr, objective.py."""
    views = torch.cat([l2(parts.projector(gap(parts.vit, batch[name]))) for name in ("view1", "view2")])
    count = len(views) // 2
    rows: list[Tensor] = []
    for n, view in enumerate(views):
        others = [m for m in range(2 * count) if m != n]
        rows.append(
            negative_log_softmax(views[others] @ view / parts.temperature, others.index((n + count) % len(views)))
        )
    return torch.stack(rows).sum() / count
