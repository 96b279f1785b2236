"""The weighted nearest-neighbour classifier.

Takes: features and labels of both splits. Gives: the accuracy on the test split. Guarantees: no training, no state; the
memory is the test features and one block of similarities, whatever the size of the training split; equal bytes whoever
of the team has which training features, for neighbours that are equally near count in the order of the samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from m3i_dsl.evaluation.accuracy import accuracy
from m3i_dsl.evaluation.kept import IN_MEMORY, Features
from m3i_dsl.vocabulary.kinds import ALONE, Result, Split, Team

BLOCK = 8192
"""Test images that are compared with a part of the training images at once."""

_LOW = 0xFFFFFFFF


def nearest(
    train: Features,
    places: Sequence[range],
    test: Tensor,
    *,
    k: int,
    team: Team = ALONE,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """f32 [N_test, k] cosines and i64 [N_test, k] training samples, the nearest first; of equals the first sample.

    `train` has the features of the parts of this process, which lie at `places` of the whole; `test` [N_test, D] all of
    the test features, the same in each process; `k` is at most the number of training samples.
    """
    found: list[Tensor] = []
    for rows in test.split(max(BLOCK, IN_MEMORY // (4 * max(1, test.shape[1])) // BLOCK * BLOCK)):
        blocks = F.normalize(rows.to(device).float(), dim=1).split(BLOCK)
        keys = [torch.empty(len(block), 0, dtype=torch.int64, device=device) for block in blocks]
        for first in range(0, len(places), team.size):
            team.round(f"neighbours in part {first + 1} of {len(places)} of the training images")
            number = first + team.rank
            if number >= len(places) or not len(places[number]):
                continue
            part = F.normalize(train.part(number).to(device), dim=1)
            index = torch.arange(places[number].start, places[number].stop, device=device)
            for block, key in enumerate(keys):
                keys[block] = _with(key, blocks[block] @ part.T, index, k)
        own = torch.cat(keys).cpu()
        found.append(_kept(torch.cat(team.gathered(own), dim=1), k))
    keys = torch.cat(found).sort(dim=1, descending=True).values
    return _similarity(keys), _LOW - (keys & _LOW)


def _with(keys: Tensor, similarity: Tensor, index: Tensor, k: int) -> Tensor:
    """The k largest of i64 `keys` [M, at most k] and those of [M, n] further samples, which come after all of them."""
    if keys.shape[1] < k:
        return _kept(torch.cat([keys, _keys(similarity, index)], dim=1), k)
    least = _similarity(keys.amin(dim=1, keepdim=True))
    rows = (similarity > least).any(dim=1).nonzero().flatten()  # few, when much was seen
    keys[rows] = _kept(torch.cat([keys[rows], _keys(similarity[rows], index)], dim=1), k)
    return keys


def _similarity(keys: Tensor) -> Tensor:
    """f32: of which `_keys` were made."""
    return _turned((keys >> 32).to(torch.int32)).view(torch.float32)


def _keys(similarity: Tensor, index: Tensor) -> Tensor:
    """i64 [M, n] that are ordered as (similarity [M, n], the smaller index [n] first), and are all different."""
    return (_turned(similarity.contiguous().view(torch.int32)).to(torch.int64) << 32) | (_LOW - index)


def _turned(bits: Tensor) -> Tensor:
    """The bits of floating-point numbers as whole numbers in the same order, and back."""
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


def _kept(keys: Tensor, k: int) -> Tensor:
    return keys.topk(k, dim=1, sorted=False).values if keys.shape[1] > k else keys


def knn_votes(
    similarity: Tensor, index: Tensor, train_labels: Tensor, *, temperature: float, categories: int
) -> Tensor:
    """f32 [N_test, categories]: for each test feature, the votes sum_{i in kNN, y_i = c} exp(cos(x, x_i) / T).

    `similarity` and `index` [N_test, k] as of `nearest`, train_labels i64 [N]. Votes are divided by exp(1 / T), which
    changes no decision and keeps them in range for small T. Source: Wu et al. 2018, equation 15 and section 3.4.
    """
    weight = ((similarity - 1) / temperature).exp()
    votes = torch.zeros(len(similarity), categories)
    return votes.scatter_add_(1, train_labels[index], weight)


def knn(
    train: Features,
    train_split: Split,
    test: Tensor,
    test_labels: Tensor,
    *,
    k: int = 20,
    temperature: float = 0.07,
    categories: Sequence[str] = (),
    details: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
    team: Team = ALONE,
) -> Result:
    """Accuracy of the weighted k-nearest-neighbour classifier, on features as `nearest` takes them.

    `k` above the number of training samples means all of them, and `details["k"]` says so; `details` of the features
    are kept in it.
    """
    labels = train_split.labels
    used = min(k, len(labels))
    similarity, index = nearest(train, train_split.places(), test, k=used, team=team, device=device)
    count = int(max(labels.max(), test_labels.max())) + 1
    voted = [
        knn_votes(*neighbours, labels, temperature=temperature, categories=count).argmax(dim=1)
        for neighbours in zip(similarity.split(BLOCK), index.split(BLOCK), strict=True)
    ]
    chosen = {"k": used, "temperature": temperature, "training_samples": len(labels)}
    return accuracy(torch.cat(voted), test_labels, categories, {**chosen, **(details or {})})
