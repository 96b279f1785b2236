"""Accuracy: the share of test samples that are given their own category.

Takes: predictions and labels of a test split. Gives: a `Result` with its standard error, the accuracy of each category
and, for differences, which samples were right. Guarantees: nothing but these numbers looks at the labels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from m3i_dsl.vocabulary.kinds import ACCURACY, Result


def accuracy(
    predicted: Tensor,
    labels: Tensor,
    categories: Sequence[str] = (),
    details: Mapping[str, Any] | None = None,
    note: str = "",
) -> Result:
    """The share of `predicted` i64 [n] that equals `labels` i64 [n], with the standard error of a proportion.

    `categories` are the names in label order; each that occurs in `labels` gets an accuracy of its own.
    """
    labels = labels.cpu()
    correct = (predicted.cpu() == labels).detach().double()
    value = float(correct.mean())
    return Result(
        ACCURACY,
        value,
        len(correct),
        math.sqrt(value * (1 - value) / len(correct)),
        samples=correct,
        by_category=_by_category(correct, labels, categories),
        details=dict(details or {}),
        note=note,
    )


def chance(categories: int, n: int) -> Result:
    """The accuracy of guessing uniformly among `categories`; it does not depend on the `n` test samples."""
    return Result(ACCURACY, 1 / categories, n, 0.0, details={"categories": categories})


def _by_category(correct: Tensor, labels: Tensor, categories: Sequence[str]) -> dict[str, float]:
    met = Counter(categories)
    found: dict[str, float] = {}
    for label, name in enumerate(categories):
        own = correct[labels == label]
        if len(own):
            found[name if met[name] == 1 else f"{name} ({label})"] = float(own.mean())
    return found
