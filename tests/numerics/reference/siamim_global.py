"""Siamese Image Modeling, global (row l): row i with a masked input."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, choose_own, gap, inverse_temperature, l2


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean over images of -log softmax over the targets of the batch."""
    prediction = l2(parts.predictor(parts.projector(gap(parts.vit, batch["view2"], drop=batch["hidden"]))))
    with torch.no_grad():
        target = l2(parts.average_projector(gap(parts.average, batch["view1"])))
    return choose_own(prediction, target, inverse_temperature(parts))
