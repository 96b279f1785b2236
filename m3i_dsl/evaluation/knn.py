"""The weighted nearest-neighbour classifier.

Takes: features and labels of both splits. Gives: the accuracy on the test split. Guarantees: no training, no state; the
memory is one block of similarities, whatever the size of the splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from m3i_dsl.evaluation.accuracy import accuracy
from m3i_dsl.vocabulary.kinds import Result

BLOCK = 32 * 1024 * 1024
"""Similarities held at once."""


def knn_votes(
    train: Tensor, train_labels: Tensor, test: Tensor, *, k: int, temperature: float, categories: int
) -> Tensor:
    """f32 [N_test, categories]: for each test feature, the votes sum_{i in kNN, y_i = c} exp(cos(x, x_i) / T).

    train [N, D], train_labels i64 [N], test [N_test, D]; `k` is at most N. Votes are divided by exp(1 / T), which
    changes no decision and keeps them in range for small T. Source: Wu et al. 2018, equation 15 and section 3.4.
    """
    train, test = F.normalize(train.float(), dim=1), F.normalize(test.float(), dim=1)
    labels = train_labels.to(train.device)
    parts: list[Tensor] = []
    for part in test.split(max(1, BLOCK // len(train))):
        similarity, index = (part @ train.T).topk(k, dim=1)
        weight = ((similarity - 1) / temperature).exp()
        votes = torch.zeros(len(part), categories, device=train.device)
        parts.append(votes.scatter_add_(1, labels[index], weight))
    return torch.cat(parts)


def knn(
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    *,
    k: int = 20,
    temperature: float = 0.07,
    categories: Sequence[str] = (),
    details: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
) -> Result:
    """Accuracy of the weighted k-nearest-neighbour classifier.

    `k` above the number of training samples means all of them, and `details["k"]` says so; `details` of the features
    are kept in it.
    """
    used = min(k, len(train))
    count = int(max(train_labels.max(), test_labels.max())) + 1
    votes = knn_votes(
        train.to(device), train_labels, test.to(device), k=used, temperature=temperature, categories=count
    )
    chosen = {"k": used, "temperature": temperature, "training_samples": len(train)}
    return accuracy(votes.argmax(dim=1), test_labels, categories, {**chosen, **(details or {})})
