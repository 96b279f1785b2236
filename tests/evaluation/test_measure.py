"""Every measurement stands beside its baselines, on the same images."""

from __future__ import annotations

import json
import math

import pytest
import torch
from rich.console import Console
from torch import Tensor

from m3i_dsl.evaluation.errors import EvaluationError
from m3i_dsl.evaluation.measure import Evaluation, Split, Subject
from m3i_dsl.evaluation.result import Comparison, Result, accuracy, results_json, results_table
from m3i_dsl.vocabulary.evaluators import Knn, Linear, ZeroShot
from tests.evaluation.tiny import Tokens, split

KNN, LINEAR = Knn(k=5), Linear(c=(0.01, 1.0))


def embed_images(images: Tensor) -> Tensor:
    return images.flatten(1)[:, :4]


def embed_texts(texts: list[str]) -> Tensor:
    return torch.stack([torch.randn(4, generator=torch.Generator().manual_seed(len(text))) for text in texts])


def evaluation(count: int = 60) -> tuple[Evaluation, list[Subject]]:
    built: list[Subject] = []

    def untrained() -> Subject:
        built.append(Subject(Tokens(seed=1), 1, embed_images, embed_texts))
        return built[-1]

    return Evaluation(split(count), split(30, seed=1), ("a", "bb", "ccc"), untrained), built


def test_results_stand_beside_both_baselines() -> None:
    e, _ = evaluation()
    knn, linear = e.compare([KNN, LINEAR], Subject(Tokens(), 1))
    for comparison, evaluator in ((knn, KNN), (linear, LINEAR)):
        assert comparison.evaluator == evaluator.text()
        assert [result.subject for result in comparison.baselines] == ["untrained", "raw pixels"]
        assert all(result.n == 30 for result in (comparison.trained, *comparison.baselines))
    assert knn.baselines[1].value == 1.0  # the categories are far apart in pixels
    assert knn.baselines[1].details["features"] == "all 8 x 8 pixels"


def test_an_untrained_encoder_ties_with_itself() -> None:
    e, built = evaluation()
    comparison = e.compare([KNN], Subject(Tokens(seed=1), 1))[0]
    assert comparison.difference(comparison.baselines[0]).value == 0.0
    assert len(built) == 1


def test_features_and_baselines_are_computed_once() -> None:
    e, built = evaluation()
    encoder = Tokens()
    e.compare([KNN, LINEAR], Subject(encoder, 1))
    assert encoder.calls == 2  # one batch of each split
    e.compare([KNN, LINEAR], Subject(encoder, 1))
    assert len(built) == 1
    assert e.result(KNN, Subject(encoder, 1)).subject == "trained"


def test_measuring_draws_no_random_numbers() -> None:
    e, _ = evaluation()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    e.compare([KNN, LINEAR], Subject(Tokens(), 1))
    assert torch.equal(torch.rand(3), expected)


def test_zero_shot_stands_beside_untrained_and_chance() -> None:
    e, _ = evaluation()
    comparison = e.compare([ZeroShot("a {}")], Subject(Tokens(), 1, embed_images, embed_texts))[0]
    assert [result.subject for result in comparison.baselines] == ["untrained", "chance"]
    assert comparison.baselines[1].value == pytest.approx(1 / 3)


def test_zero_shot_needs_a_text_target() -> None:
    e, _ = evaluation()
    with pytest.raises(EvaluationError) as caught:
        e.result(ZeroShot(), Subject(Tokens(), 1))
    assert caught.value.code == "M3I0754"


def test_an_empty_split_is_an_error() -> None:
    nothing = Split(torch.empty(0, 3, 8, 8), torch.empty(0, dtype=torch.int64))
    with pytest.raises(EvaluationError, match="test split") as caught:
        Evaluation(split(6), nothing, ("a",), lambda: Subject(Tokens(), 1))
    assert caught.value.code == "M3I0750"


def result(correct: list[int], subject: str) -> Result:
    return accuracy("knn", subject, torch.tensor(correct), torch.ones(len(correct), dtype=torch.int64))


def test_differences_are_paired() -> None:
    ours, theirs = result([1, 1, 1, 0, 1, 1], "trained"), result([1, 0, 1, 0, 0, 1], "untrained")
    difference = Comparison("knn", ours, (theirs,)).difference(theirs)
    changes = [0, 1, 0, 0, 1, 0]
    mean = sum(changes) / 6
    variance = sum((change - mean) ** 2 for change in changes) / 6
    assert difference.value == pytest.approx(mean)
    assert difference.standard_error == pytest.approx(math.sqrt(variance / 6))
    assert not difference.clear


def test_table_and_json_say_the_same() -> None:
    ours, theirs = result([1] * 9 + [0], "trained"), result([1] * 4 + [0] * 6, "untrained")
    comparisons = [Comparison("knn(k: 1)", ours, (theirs,))]
    plain = Console(width=120, no_color=True)
    with plain.capture() as shown:
        plain.print(results_table(comparisons))
    text = shown.get()
    assert "90.0 +- 9.5" in text
    assert "40.0 +- 15.5" in text
    assert "+50.0 +- 15.8" in text
    row = json.loads(json.dumps(results_json(comparisons), allow_nan=False))[0]
    assert row["trained"]["value"] == pytest.approx(0.9)
    assert row["baselines"]["untrained"]["value"] == pytest.approx(0.4)
    assert row["over_best_baseline"]["value"] == pytest.approx(0.5)
    assert row["beats_baselines"] is True
