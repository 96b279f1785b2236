"""The linear probe of features that memory holds: logistic regression on frozen, standardised features.

Takes: features and labels of both splits. Gives: the accuracy on the test split and the C that was chosen. Guarantees:
C is chosen on a part of the training split; nothing but the final accuracy looks at the test split. The two solvers
minimise the same function: scikit-learn's on a CPU, torch's L-BFGS on a GPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from m3i_dsl.evaluation import errors
from m3i_dsl.evaluation.accuracy import accuracy
from m3i_dsl.vocabulary.kinds import Result

Solver = Literal["scikit-learn", "torch"]

ITERATIONS = 1000
TOLERANCE = 1e-5
"""Largest gradient of the mean loss at which a solver stops."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """scores = (standardised features @ basis) @ weight.T + bias, for each of the `categories` that training had.

    `converged` is False when the solver stopped at its limit of iterations.
    """

    problem: Problem
    weight: Tensor
    bias: Tensor
    converged: bool

    def predict(self, features: Tensor) -> Tensor:
        """i64 [N]: the category of the largest score for features [N, D]."""
        scores = self.problem.transform(features) @ self.weight.T + self.bias
        return self.problem.categories[scores.argmax(dim=1)]


@dataclass(frozen=True, eq=False)
class Problem:
    """Training features prepared once for all candidates of C.

    `z` f64 [N, r] are the features with every channel at mean 0 and deviation 1 (a channel that never changes is only
    centred), expressed in `basis` [D, r], an orthonormal basis of the space that they span. The penalty |W|^2 does not
    see a rotation and the best W lies in that space, so the classifier is the same as without; r is small where
    channels repeat each other, as pixels do.
    """

    mean: Tensor
    scale: Tensor
    basis: Tensor
    z: Tensor
    categories: Tensor
    positions: Tensor

    @classmethod
    def prepare(cls, features: Tensor, labels: Tensor, device: torch.device | str = "cpu") -> Problem:
        """From features [N, D] and labels i64 [N]."""
        features = features.to(device).double()
        mean, scale = features.mean(dim=0), features.std(dim=0, correction=0)
        scale = torch.where(scale > 1e-8 * (1 + mean.abs()), scale, torch.ones_like(scale))
        standardised = (features - mean) / scale
        categories, positions = labels.to(device).unique(return_inverse=True)
        basis = _span(standardised)
        return cls(mean, scale, basis, standardised @ basis, categories, positions)

    def transform(self, features: Tensor) -> Tensor:
        """[M, D] -> f64 [M, r]."""
        return (features.to(self.mean) - self.mean) / self.scale @ self.basis

    def solve(self, c: float, solver: Solver, start: Classifier | None = None) -> Classifier:
        """Minimises |W|^2 / 2 + c * sum_i CE(W z_i + b, y_i).

        torch's solver begins at `start`, a solution for another c.
        """
        if solver == "torch":
            return Classifier(self, *_solve_torch(self, c, start))
        return Classifier(self, *_solve_scikit_learn(self, c))


def _span(rows: Tensor) -> Tensor:
    """[D, r]: an orthonormal basis of the space spanned by `rows` [N, D], from the smaller of the two Gram matrices."""
    count, width = rows.shape
    if width <= count:
        values, vectors = torch.linalg.eigh(rows.T @ rows)
    else:
        values, left = torch.linalg.eigh(rows @ rows.T)
        vectors = rows.T @ (left / values.clamp_min(torch.finfo(values.dtype).tiny).sqrt())
    kept = values > 1e-10 * values.max()
    return vectors[:, kept] if bool(kept.any()) else torch.zeros(width, 1).to(rows)


def held_out_part(labels: Tensor, share: float, seed: int = 0) -> Tensor:
    """bool [N]: True for the samples on which C is chosen, the same share of every category.

    At least one sample of each category, but a category's only sample stays in the fitted part. Depends on nothing but
    `labels`, `share` and `seed`. Raises EvaluationError (M3I0750) when no sample can be held out.
    """
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    generator = np.random.default_rng(seed)
    for category in labels.unique().tolist():
        members = torch.nonzero(labels == category).flatten()
        count = min(max(1, round(share * len(members))), len(members) - 1)
        chosen[members[torch.from_numpy(generator.permutation(len(members))[:count])]] = True
    if not chosen.any():
        raise errors.EvaluationError(
            errors.NO_LABELLED_SPLIT,
            "every category has a single training sample, so none is left to choose C by",
            help="evaluate on more samples: raise `--limit`",
        )
    return chosen


def check_categories(labels: Tensor) -> None:
    """Raises EvaluationError (M3I0750) when there is one category only."""
    if len(labels.unique()) < 2:
        raise errors.EvaluationError(
            errors.NO_LABELLED_SPLIT,
            "the training split has a single category, so nothing can be told apart",
            help="evaluate on more samples: raise `--limit`",
        )


def choose_solver(device: torch.device | str) -> Solver:
    """Where the fit is fastest; both solvers give the same classifier."""
    return "scikit-learn" if torch.device(device).type == "cpu" else "torch"


def linear(
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    *,
    c: Sequence[float] = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0),
    held_out: float = 0.2,
    categories: Sequence[str] = (),
    details: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
    solver: Solver | None = None,
    seed: int = 0,
) -> Result:
    """Accuracy of the linear probe; `details["c"]` is the chosen C, `details["held_out"]` the accuracy it was chosen
    by; `details` of the features are kept in it.

    Of equally good candidates the smallest C (the strongest penalty) wins. Raises EvaluationError (M3I0750) when the
    training split has fewer than two categories.
    """
    check_categories(train_labels)
    solver = solver or choose_solver(device)
    chosen, score = choose_c(train, train_labels, c=c, held_out=held_out, solver=solver, device=device, seed=seed)
    classifier = Problem.prepare(train, train_labels, device).solve(chosen, solver)
    settings = {"c": chosen, "held_out": score, "solver": solver, "converged": classifier.converged}
    return accuracy(
        classifier.predict(test), test_labels, categories, {**settings, **(details or {})}, f"chosen C: {chosen:g}"
    )


def choose_c(
    train: Tensor,
    labels: Tensor,
    *,
    c: Sequence[float],
    held_out: float,
    solver: Solver,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> tuple[float, float]:
    """The C of the best accuracy on the held-out part of the training split, and that accuracy.

    Raises EvaluationError (M3I0750) when no sample can be held out.
    """
    part = held_out_part(labels, held_out, seed)
    problem = Problem.prepare(train[~part], labels[~part], device)
    best_c, best_score = min(c), -1.0
    classifier: Classifier | None = None
    for candidate in sorted(set(c)):
        classifier = problem.solve(candidate, solver, classifier)
        score = float((classifier.predict(train[part]).cpu() == labels[part]).double().mean())
        if score > best_score:
            best_c, best_score = candidate, score
    return best_c, best_score


def _solve_scikit_learn(problem: Problem, c: float) -> tuple[Tensor, Tensor, bool]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # Of two categories scikit-learn fits only the difference w = w_1 - w_0, with the penalty |w|^2 / 2. The minimum of
    # ours has w_1 = -w_0 = w / 2, so its penalty is |w|^2 / 4: twice the C, then half of w each way.
    two = len(problem.categories) == 2
    model = LogisticRegression(C=2 * c if two else c, max_iter=ITERATIONS, tol=TOLERANCE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(problem.z.cpu().numpy(), problem.positions.cpu().numpy())
    weight = torch.from_numpy(np.asarray(model.coef_, dtype=np.float64)).to(problem.z.device)
    bias = torch.from_numpy(np.asarray(model.intercept_, dtype=np.float64)).to(problem.z.device)
    if two:
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    return weight, bias, not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


def _solve_torch(problem: Problem, c: float, start: Classifier | None) -> tuple[Tensor, Tensor, bool]:
    """L-BFGS with a strong Wolfe line search on the mean loss, CE + |W|^2 / (2 c N), which has the same minimiser."""
    z, labels = problem.z, problem.positions
    weight = torch.zeros(len(problem.categories), z.shape[1], dtype=z.dtype, device=z.device)
    bias = torch.zeros(len(problem.categories), dtype=z.dtype, device=z.device)
    if start is not None:
        weight.copy_(start.weight)
        bias.copy_(start.bias)
    weight.requires_grad_(True)
    bias.requires_grad_(True)
    optimizer = lbfgs([weight, bias])

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(z @ weight.T + bias, labels) + weight.square().sum() / (2 * c * len(z))
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # pyright: ignore[reportArgumentType]  # the stub asks for float, the code takes a Tensor
        loss()
    assert weight.grad is not None and bias.grad is not None
    gradient = max(float(weight.grad.abs().max()), float(bias.grad.abs().max()))
    return weight.detach(), bias.detach(), gradient <= TOLERANCE


def lbfgs(parameters: list[Tensor]) -> torch.optim.LBFGS:
    """L-BFGS that goes on until the gradient is within TOLERANCE."""
    return torch.optim.LBFGS(
        parameters,
        max_iter=ITERATIONS,
        max_eval=2 * ITERATIONS,
        tolerance_grad=TOLERANCE,
        tolerance_change=1e-12,
        history_size=10,
        line_search_fn="strong_wolfe",
    )
