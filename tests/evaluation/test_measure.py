"""Every measurement stands beside the baselines that its evaluator chooses, on the same images."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from rich.console import Console
from torch import Tensor

from m3i_dsl.evaluation.accuracy import accuracy
from m3i_dsl.evaluation.comparison import Comparison, results_json, results_table
from m3i_dsl.evaluation.errors import EvaluationError
from m3i_dsl.evaluation.measure import Evaluation
from m3i_dsl.evaluation.subject import EncoderSubject
from m3i_dsl.vocabulary.evaluators import Knn, LinearProbe, ZeroShot
from m3i_dsl.vocabulary.kinds import Baselines, Evaluator, Measure, Result, Score, Splits, Subject
from tests.evaluation.tiny import Tokens, split

KNN, LINEAR = Knn(k=5), LinearProbe(c=(0.01, 1.0))


class Path:
    def embed_images(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :4]

    def embed_texts(self, texts: list[str]) -> Tensor:
        return torch.stack([torch.randn(4, generator=torch.Generator().manual_seed(len(text))) for text in texts])


def evaluation(count: int = 60) -> tuple[Evaluation, list[EncoderSubject]]:
    built: list[EncoderSubject] = []

    def untrained() -> EncoderSubject:
        built.append(EncoderSubject(Tokens(seed=1), 1, Path()))
        return built[-1]

    return Evaluation(Splits(split(count), split(30, seed=1), ("a", "bb", "ccc")), untrained), built


def test_results_stand_beside_both_baselines() -> None:
    e, _ = evaluation()
    knn, linear = e.compare([KNN, LINEAR], EncoderSubject(Tokens(), 1))
    for comparison, evaluator in ((knn, KNN), (linear, LINEAR)):
        assert (comparison.name, comparison.evaluator) == (evaluator.name, evaluator.text())
        assert list(comparison.baselines) == ["untrained", "raw pixels"]
        assert all(result.n == 30 for result in (comparison.trained, *comparison.baselines.values()))
    assert knn.baselines["raw pixels"].value == 1.0  # the categories are far apart in pixels
    assert knn.baselines["raw pixels"].details["features"] == "all 8 x 8 pixels"


def test_each_category_has_its_accuracy() -> None:
    predicted, labels = torch.tensor([0, 0, 1, 1, 3]), torch.tensor([0, 1, 1, 1, 3])
    found = accuracy(predicted, labels, ("cat", "dog", "never seen", "cat")).by_category
    assert found == {"cat (0)": 1.0, "dog": pytest.approx(2 / 3), "cat (3)": 1.0}
    e, _ = evaluation()
    result = e.result(KNN, EncoderSubject(Tokens(), 1))
    assert list(result.by_category) == ["a", "bb", "ccc"]
    assert sum(result.by_category.values()) / 3 == pytest.approx(result.value)  # ten images of each


def test_an_untrained_encoder_ties_with_itself() -> None:
    e, built = evaluation()
    comparison = e.compare([KNN], EncoderSubject(Tokens(seed=1), 1))[0]
    assert comparison.difference(comparison.baselines["untrained"]).value == 0.0
    assert len(built) == 1


def test_features_and_baselines_are_computed_once() -> None:
    e, built = evaluation()
    encoder = Tokens()
    e.compare([KNN, LINEAR], EncoderSubject(encoder, 1))
    assert encoder.calls == 2  # one batch of each split
    e.compare([KNN, LINEAR], EncoderSubject(encoder, 1))
    assert len(built) == 1
    assert built[0].encoder.calls == 2


def test_measuring_draws_no_random_numbers() -> None:
    e, _ = evaluation()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    e.compare([KNN, LINEAR], EncoderSubject(Tokens(), 1))
    assert torch.equal(torch.rand(3), expected)


def test_zero_shot_stands_beside_untrained_and_chance() -> None:
    e, _ = evaluation()
    comparison = e.compare([ZeroShot("a {}")], EncoderSubject(Tokens(), 1, Path()))[0]
    assert list(comparison.baselines) == ["untrained", "chance"]
    assert comparison.baselines["chance"].value == pytest.approx(1 / 3)


def test_zero_shot_needs_a_text_target() -> None:
    e, _ = evaluation()
    with pytest.raises(EvaluationError) as caught:
        e.result(ZeroShot(), EncoderSubject(Tokens(), 1))
    assert caught.value.code == "M3I0754"


@dataclass(frozen=True, slots=True)
class Noise(Evaluator):
    """A number that is not known where the encoder is trained."""

    name: ClassVar[str] = "noise"

    def measure(self, subject: Subject, splits: Splits) -> Result:
        return Result(Measure("noise"), math.nan, len(splits.test.labels))

    def baselines(self, others: Baselines, splits: Splits) -> Mapping[str, Result]:
        return {}


def test_a_measurement_that_is_no_number_is_a_fault_of_the_command_and_ends_no_training() -> None:
    e, _ = evaluation()
    with pytest.raises(EvaluationError, match="`noise` gives nan for noise") as caught:
        e.compare([Noise()], EncoderSubject(Tokens(), 1))
    assert caught.value.code == "M3I0757"
    assert math.isnan(e.result(Noise(), EncoderSubject(Tokens(), 1)).value)


def result(correct: list[int]) -> Result:
    return accuracy(torch.tensor(correct), torch.ones(len(correct), dtype=torch.int64))


def test_differences_are_paired() -> None:
    ours, theirs = result([1, 1, 1, 0, 1, 1]), result([1, 0, 1, 0, 0, 1])
    difference = Comparison("knn", "knn", ours, {"untrained": theirs}).difference(theirs)
    changes = [0, 1, 0, 0, 1, 0]
    mean = sum(changes) / 6
    variance = sum((change - mean) ** 2 for change in changes) / 6
    assert difference.value == pytest.approx(mean)
    assert difference.standard_error == pytest.approx(math.sqrt(variance / 6))
    assert not difference.clear


def test_the_measure_says_what_is_better() -> None:
    error = Measure("error", "px", better="lower")
    ours, worse, best = (Result(error, value, 10, 0.1) for value in (2.0, 5.0, 3.0))
    comparison = Comparison("depth", "depth", ours, {"untrained": worse, "raw pixels": best})
    assert comparison.best_baseline is best
    assert comparison.beats_baselines
    difference = comparison.over_best_baseline
    assert difference is not None
    assert (difference.value, difference.gain, difference.clear) == (-1.0, 1.0, True)
    behind = Comparison("depth", "depth", worse, {"raw pixels": best})
    assert not behind.beats_baselines
    unsure = Comparison("depth", "depth", Result(error, 2.0, 10), {"raw pixels": best}).over_best_baseline
    assert unsure is not None
    assert unsure.standard_error is None and not unsure.clear  # nobody knows whether one pixel is much


def shown(comparisons: list[Comparison]) -> str:
    plain = Console(width=160, no_color=True)
    with plain.capture() as captured:
        plain.print(results_table(comparisons))
    return captured.get()


def test_table_and_json_say_the_same() -> None:
    comparisons = [Comparison("knn", "knn(k: 1)", result([1] * 9 + [0]), {"untrained": result([1] * 4 + [0] * 6)})]
    text = shown(comparisons)
    assert "accuracy, %" in text
    assert "90.0 +- 9.5" in text
    assert "40.0 +- 15.5" in text
    assert "+50.0 +- 15.8" in text
    row = json.loads(json.dumps(results_json(comparisons), allow_nan=False))[0]
    assert row["measure"] == {"name": "accuracy", "unit": "%", "better": "higher"}
    assert row["trained"]["value"] == pytest.approx(0.9)
    assert row["baselines"]["untrained"]["value"] == pytest.approx(0.4)
    assert row["over_best_baseline"]["value"] == pytest.approx(0.5)
    assert row["beats_baselines"] is True


def test_measures_of_several_units_share_a_table() -> None:
    rank, ap50 = Measure("rank"), Measure("AP50", "%")
    comparisons = [
        Comparison("knn", "knn", result([1, 0]), {"chance": result([0, 0])}),
        Comparison("rank_me", "rank_me", Result(rank, 61.25, 100, parts={"AP50": Score(0.512, ap50)}), {}),
    ]
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in shown(comparisons).splitlines()]
    assert ["rank_me", "rank", "61.25"] in rows  # no error is known, and nothing stands beside it
    assert ["AP50, %", "51.2"] in rows
    row = results_json(comparisons)[1]
    assert row["trained"]["standard_error"] is None and row["over_best_baseline"] is None
    assert row["trained"]["parts"]["AP50"] == {"value": 0.512, "measure": ap50.plain()}
