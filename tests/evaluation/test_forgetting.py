"""Forgetting: the best earlier result less the last one, paired, and marked beyond two standard errors."""

from __future__ import annotations

import math

import pytest
import torch
from rich.console import Console

from m3i_dsl.evaluation.accuracy import accuracy
from m3i_dsl.evaluation.forgetting import courses, forgetting_json, forgetting_table, sentence
from m3i_dsl.vocabulary.kinds import Measure, Result

LABELS = torch.zeros(100, dtype=torch.int64)


def result(right: range) -> Result:
    predicted = torch.ones(100, dtype=torch.int64)
    predicted[list(right)] = 0
    return accuracy(predicted, LABELS)


KNN, LINEAR = ("knn", "knn(k: 20)", "digits"), ("linear", "linear", "digits")


def test_the_best_earlier_result_counts_and_samples_are_paired() -> None:
    (course,) = courses(
        {
            "1-a": {KNN: result(range(0, 60))},
            "2-b": {KNN: result(range(0, 80))},
            "3-c": {KNN: result(range(0, 70))},
        }
    )
    assert course.best == "2-b" and course.forgot
    lost = course.forgetting
    assert lost is not None and lost.value == pytest.approx(0.1)
    assert lost.standard_error == pytest.approx(math.sqrt(0.1 * 0.9 / 100)), "ten of 100 samples changed, all one way"
    assert sentence(course) == "-10.0 +- 3.0  forgot since 2-b"


def test_a_difference_within_two_standard_errors_is_not_marked() -> None:
    stages = {"1-a": {KNN: result(range(0, 60))}, "2-b": {KNN: result(range(5, 62))}}
    (course,) = courses(stages)
    assert course.forgetting is not None and course.forgetting.value == pytest.approx(0.03)
    assert not course.forgot and sentence(course) == "-3.0 +- 2.6"


def test_what_a_stage_does_not_measure_is_a_gap() -> None:
    stages = {
        "1-a": {KNN: result(range(0, 60)), LINEAR: result(range(0, 90))},
        "2-b": {KNN: result(range(0, 70))},
    }
    found = courses(stages)
    assert [course.name for course in found] == ["knn", "linear"]
    assert found[0].forgetting is not None and found[0].forgetting.value == pytest.approx(-0.1) and not found[0].forgot
    assert found[1].best is None and found[1].forgetting is None and sentence(found[1]) == ""
    console = Console(width=100)
    with console.capture() as captured:
        console.print(forgetting_table(found))
    lines = [line.split() for line in captured.get().splitlines()]
    assert ["knn", "accuracy,", "%", "60.0", "70.0", "+10.0", "+-", "3.0"] in lines and [
        "linear",
        "accuracy,",
        "%",
        "90.0",
        "-",
    ] in lines
    plain = forgetting_json(found)
    assert plain[0]["stages"]["2-b"]["value"] == pytest.approx(0.7) and plain[0]["best_earlier"] == "1-a"
    assert plain[1]["stages"] == {
        "1-a": {"value": pytest.approx(0.9), "standard_error": pytest.approx(0.03)},
        "2-b": None,
    }
    assert plain[1]["forgetting"] is None


def test_the_same_evaluator_on_other_data_is_another_line() -> None:
    other = (*KNN[:2], "photos")
    found = courses({"1-a": {KNN: result(range(50))}, "2-b": {other: result(range(40))}})
    assert [(course.data, course.forgetting) for course in found] == [("digits", None), ("photos", None)]


def test_of_a_measure_where_less_is_better_more_is_forgotten() -> None:
    surprise = Measure("surprise", "nats", "lower")

    def of(value: float) -> Result:
        return Result(surprise, value, 100, 0.01)

    key = ("code", "code", "digits")
    (course,) = courses({"1-a": {key: of(0.5)}, "2-b": {key: of(0.3)}, "3-c": {key: of(0.4)}})
    assert course.best == "2-b" and course.forgot
    assert sentence(course) == "+0.1 +- 0.014  forgot since 2-b"
    (better,) = courses({"1-a": {key: of(0.5)}, "2-b": {key: of(0.3)}})
    assert not better.forgot
