"""Image Classification: -log softmax over the class table of a linear prediction from the mean token."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, choose_category, gap


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Mean over images of the cross-entropy with the label."""
    return choose_category(parts.predictor(gap(parts.vit, batch["view1"])), parts, batch["labels"])
