"""The linear probe: what it minimises, how C is chosen, and that the test split chooses nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from m3i_dsl.evaluation.errors import EvaluationError
from m3i_dsl.evaluation.linear import Classifier, Problem, Solver, choose_c, held_out_part, linear

SOLVERS: tuple[Solver, ...] = ("scikit-learn", "torch")


def clusters(count: int, categories: int, width: int = 6, noise: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    centres = 3 * torch.randn(categories, width, generator=torch.Generator().manual_seed(7))
    labels = torch.arange(count) % categories
    noises = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    return centres[labels] * torch.logspace(-2, 2, width) + noise * noises * torch.logspace(-2, 2, width), labels


@pytest.mark.parametrize("solver", SOLVERS)
def test_separable_categories_are_separated(solver: Solver) -> None:
    train, test = clusters(90, 3, noise=0.1), clusters(60, 3, noise=0.1, seed=1)
    result = linear(*train, *test, solver=solver)
    assert (result.value, result.standard_error) == (1.0, 0.0)
    assert result.details["converged"]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("categories", [2, 4])
def test_the_weights_are_at_the_minimum_of_the_documented_loss(solver: Solver, categories: int) -> None:
    features, labels = clusters(80, categories)
    classifier = Problem.prepare(features, labels).solve(0.3, solver)
    standardised = (features - features.mean(0)) / features.std(0, correction=0)
    weight = (classifier.weight @ classifier.problem.basis.T).requires_grad_(True)
    bias = classifier.bias.clone().requires_grad_(True)
    loss = weight.square().sum() / 2 + 0.3 * F.cross_entropy(
        standardised.double() @ weight.T + bias, labels, reduction="sum"
    )
    gradients = torch.autograd.grad(loss, [weight, bias])
    assert max(float(gradient.abs().max()) for gradient in gradients) < 0.3 * 80 * 3e-5


def test_the_solvers_agree() -> None:
    features, labels = clusters(120, 5)
    problem = Problem.prepare(features, labels)
    first, second = (problem.solve(0.1, solver) for solver in SOLVERS)
    torch.testing.assert_close(first.weight, second.weight, atol=2e-3, rtol=0)
    assert torch.equal(first.predict(features), second.predict(features))


def test_a_start_does_not_move_the_solution() -> None:
    features, labels = clusters(60, 3)
    problem = Problem.prepare(features, labels)
    cold = problem.solve(1.0, "torch")
    warm = problem.solve(1.0, "torch", start=problem.solve(0.001, "torch"))
    torch.testing.assert_close(cold.weight, warm.weight, atol=5e-3, rtol=0)


def test_repeated_and_constant_channels_change_nothing() -> None:
    features, labels = clusters(60, 3)
    # Two copies of a channel share its weight, which halves the penalty: C is halved to make up for it.
    plain = Problem.prepare(features, labels)
    wide = Problem.prepare(torch.cat([features, features, torch.full((60, 2), 5.0)], dim=1), labels)
    assert wide.z.shape[1] == plain.z.shape[1]
    torch.testing.assert_close(wide.z @ wide.z.T, 2 * plain.z @ plain.z.T, rtol=1e-6, atol=1e-6)
    predictions = [
        problem.solve(c, "torch").predict(inputs)
        for problem, c, inputs in (
            (plain, 0.2, features),
            (wide, 0.1, torch.cat([features, features, torch.full((60, 2), 5.0)], dim=1)),
        )
    ]
    assert torch.equal(*predictions)


def test_more_channels_than_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20, 50, generator=generator)
    problem = Problem.prepare(features, torch.arange(20) % 2)
    assert problem.z.shape[1] <= 20
    standardised = (features - features.mean(0)) / features.std(0, correction=0)
    torch.testing.assert_close(problem.z @ problem.z.T, (standardised @ standardised.T).double(), atol=1e-3, rtol=1e-4)


def test_the_test_split_chooses_nothing() -> None:
    train, (features, labels) = clusters(90, 3, noise=3.0), clusters(60, 3, noise=3.0, seed=1)
    first = linear(*train, features, labels)
    second = linear(*train, features, (labels + 1) % 3)
    third = linear(*train, 100 * torch.randn(60, 6), labels)
    assert first.details == second.details == third.details
    assert first.value != second.value


def test_the_candidate_of_the_best_held_out_accuracy_is_taken() -> None:
    features, labels = clusters(120, 4, noise=4.0)
    candidates = (1e-6, 1e-2, 1.0)
    part = held_out_part(labels, 0.2)

    def score(c: float) -> float:
        fitted: Classifier = Problem.prepare(features[~part], labels[~part]).solve(c, "scikit-learn")
        return float((fitted.predict(features[part]) == labels[part]).double().mean())

    scores = [score(c) for c in candidates]
    chosen, best = choose_c(features, labels, c=candidates, held_out=0.2, solver="scikit-learn")
    assert best == pytest.approx(max(scores))
    assert chosen == candidates[scores.index(max(scores))]


def test_the_held_out_part_is_balanced_and_fixed() -> None:
    labels = torch.tensor([0] * 50 + [1] * 10 + [2] * 2 + [3])
    part = held_out_part(labels, 0.2)
    assert [int(part[labels == category].sum()) for category in range(4)] == [10, 2, 1, 0]
    assert torch.equal(part, held_out_part(labels, 0.2))


def test_a_category_that_training_lacks_is_never_predicted() -> None:
    features, labels = clusters(60, 3)
    kept = labels != 1
    for solver in SOLVERS:
        classifier = Problem.prepare(features[kept], labels[kept]).solve(1.0, solver)
        assert set(classifier.predict(features).tolist()) == {0, 2}


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3]])
def test_too_little_to_learn_from_is_an_error(labels: list[int]) -> None:
    with pytest.raises(EvaluationError) as caught:
        linear(torch.randn(4, 3), torch.tensor(labels), torch.randn(4, 3), torch.tensor(labels))
    assert caught.value.code == "M3I0750"
