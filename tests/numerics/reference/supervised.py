"""Softmax classification of the mean token, without a predictor, with label smoothing `parts.label_smoothing`."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, choose_category, gap


def loss(parts: Parts, batch: Batch) -> Tensor:
    """(1 - smoothing) times the cross-entropy with the label, plus smoothing times its mean over all categories."""
    return choose_category(gap(parts.vit, batch["view1"]), parts, batch["labels"])
