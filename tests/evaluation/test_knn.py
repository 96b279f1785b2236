"""The weighted nearest-neighbour classifier against a loop that follows its definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from m3i_dsl.evaluation import knn as module
from m3i_dsl.evaluation.kept import Features
from m3i_dsl.evaluation.knn import knn, knn_votes, nearest
from m3i_dsl.vocabulary.kinds import Split


def split(features: Tensor, labels: Tensor) -> Split:
    return Split(torch.empty(len(features), 3, 1, 1), labels)


def votes_of(train: Tensor, labels: Tensor, test: Tensor, *, k: int, temperature: float, categories: int) -> Tensor:
    found = nearest(Features.of(train), split(train, labels).places(), test, k=k)
    return knn_votes(*found, labels, temperature=temperature, categories=categories)


def reference(train: list[list[float]], labels: list[int], x: list[float], k: int, temperature: float) -> list[float]:
    """Votes by category: sort all cosines, take k, weigh each by exp(cos / T)."""

    def cosine(a: list[float], b: list[float]) -> float:
        dot = sum(p * q for p, q in zip(a, b, strict=True))
        return dot / math.sqrt(sum(p * p for p in a) * sum(q * q for q in b))

    closest = sorted(range(len(train)), key=lambda i: -cosine(x, train[i]))[:k]
    votes = [0.0] * (max(labels) + 1)
    for i in closest:
        votes[labels[i]] += math.exp(cosine(x, train[i]) / temperature)
    return votes


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (5, 1.0), (40, 0.2)])
def test_votes_are_those_of_the_definition(k: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(40, 6, generator=generator)
    test = torch.randn(9, 6, generator=generator)
    labels = torch.randint(0, 4, (40,), generator=generator)
    votes = votes_of(train, labels, test, k=k, temperature=temperature, categories=4)
    expected = torch.tensor(
        [reference(train.tolist(), labels.tolist(), x, k, temperature) for x in test.tolist()]
    ) * math.exp(-1 / temperature)
    torch.testing.assert_close(votes, expected, rtol=1e-4, atol=1e-6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = torch.randn(30, 5), torch.randn(11, 5)
    labels = torch.randint(0, 3, (30,))
    whole = votes_of(train, labels, test, k=7, temperature=0.1, categories=3)
    monkeypatch.setattr(module, "BLOCK", 4)
    torch.testing.assert_close(votes_of(train, labels, test, k=7, temperature=0.1, categories=3), whole)


def test_a_small_temperature_keeps_votes_finite() -> None:
    train = torch.eye(3)
    votes = votes_of(train, torch.tensor([0, 1, 2]), train, k=3, temperature=1e-3, categories=3)
    assert torch.isfinite(votes).all()
    assert votes.argmax(1).tolist() == [0, 1, 2]


def test_accuracy_and_its_error() -> None:
    train = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    test = torch.tensor([[1.0, 0.1], [0.1, 1.0], [0.2, 1.0], [1.0, 0.2]])
    labels = torch.tensor([0, 1])
    result = knn(Features.of(train), split(train, labels), test, torch.tensor([0, 1, 0, 0]), k=1)
    assert result.value == pytest.approx(0.75)
    assert result.standard_error == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert result.samples is not None
    assert result.samples.tolist() == [1, 1, 0, 1]


def test_more_neighbours_than_samples_means_all_and_is_said() -> None:
    labels = torch.tensor([0, 1, 2])
    result = knn(Features.of(torch.eye(3)), split(torch.eye(3), labels), torch.eye(3), labels, k=20)
    assert result.details["k"] == 3
    assert result.value == 1.0


def test_of_equally_near_images_the_first_count_and_cosines_below_zero_are_in_order() -> None:
    train = torch.tensor([[1.0, 0.0]] * 3 + [[-1.0, 0.0], [-1.0, 0.1], [0.0, 1.0]])
    similarity, index = nearest(Features.of(train), [range(6)], torch.tensor([[2.0, 0.0]]), k=6)
    assert index.tolist() == [[0, 1, 2, 5, 4, 3]]
    assert similarity[0].tolist() == pytest.approx([1, 1, 1, 0, -1 / math.hypot(1, 0.1), -1])
    assert nearest(Features.of(train), [range(6)], torch.tensor([[2.0, 0.0]]), k=2)[1].tolist() == [[0, 1]]
