"""MoCo v1 and v2 (He et al. 2020, Chen et al. 2020): the own key against a queue of earlier ones."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, gap, l2, negative_log_softmax


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Queries of view1, keys of view2; the keys of the batch come into the queue after the loss."""
    query = l2(parts.projector(gap(parts.vit, batch["view1"])))
    with torch.no_grad():
        parts.pushed = [l2(parts.average_projector(gap(parts.average, batch["view2"])))]
    rows: list[Tensor] = []
    for q, own in zip(query, parts.pushed[0], strict=True):
        rows.append(negative_log_softmax(torch.cat([own[None], parts.queue]) @ q / parts.temperature, 0))
    return torch.stack(rows).mean()
