"""The linear probe on all processes, of features that need not fit in memory.

Takes: a subject and its splits. Gives: the accuracy on the test split. Guarantees: the function that is minimised, and
how C is chosen, are those of linear.py whatever the size; where memory does not hold the features each process goes
through those of its own parts, and all of them together give equal bytes however many they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from m3i_dsl.evaluation.accuracy import accuracy
from m3i_dsl.evaluation.exact import exact_sum
from m3i_dsl.evaluation.kept import Features
from m3i_dsl.evaluation.linear import TOLERANCE, check_categories, held_out_part, lbfgs, linear
from m3i_dsl.vocabulary.kinds import Pooling, Result, Split, Splits, Subject, Team, in_order

IN_MEMORY = {"cpu": 30_000_000, "cuda": 250_000_000}
"""N * D of the training features up to which the first process takes all of them, as float64."""

ROUND = 32
"""Parts between two meetings of the processes."""


def linear_probe(
    subject: Subject, pool: Pooling, splits: Splits, *, c: Sequence[float], held_out: float, seed: int = 0
) -> Result:
    """Accuracy of the linear probe; `details["c"]` is the chosen C, `details["held_out"]` the accuracy it was chosen
    by, `details["solver"]` how it was fitted.

    Of equally good candidates the smallest C (the strongest penalty) wins. Raises EvaluationError (M3I0750) when the
    training split has fewer than two categories.
    """
    train, test, team, device = splits.train, splits.test, splits.team, torch.device(splits.device)
    own = subject.own_features(train, pool)
    count = sum(team.gathered(own.values))
    if count <= IN_MEMORY.get(device.type, IN_MEMORY["cpu"]):
        seen, unseen = subject.features(train, pool), subject.features(test, pool)

        def fitted() -> Result:
            return linear(
                seen,
                train.labels,
                unseen,
                test.labels,
                c=c,
                held_out=held_out,
                categories=splits.categories,
                details=subject.details,
                device=device,
                seed=seed,
            )

        return team.led(fitted, _nothing)
    check_categories(train.labels)
    data = Rows(own, train, team, device)
    left_out = held_out_part(train.labels, held_out, seed)
    problem = StreamedProblem(data, ~left_out)
    best_c, best_score, classifier = min(c), -1.0, None
    for candidate in sorted(set(c)):
        classifier = problem.solve(candidate, classifier)
        score = float((classifier.predict(data, left_out) == train.labels[left_out]).double().mean())
        if score > best_score:
            best_c, best_score = candidate, score
    last = StreamedProblem(data, torch.ones_like(left_out)).solve(best_c)
    unseen = Rows(subject.own_features(test, pool), test, team, device)
    predicted = last.predict(unseen, torch.ones(len(test.labels), dtype=torch.bool))
    settings = {"c": best_c, "held_out": best_score, "solver": "streamed", "converged": last.converged}
    return accuracy(predicted, test.labels, splits.categories, {**settings, **subject.details}, f"chosen C: {best_c:g}")


def _nothing(_: object) -> None:
    return


@dataclass(frozen=True, eq=False)
class Rows:
    """The features of a split, of which those of its own parts are with each process of `team`."""

    own: Features
    split: Split
    team: Team
    device: torch.device

    def chosen(self, mask: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(part, f64 [n, D] features, i64 [n] labels) of the rows in `mask`, bool [N], on the device. Processes meet
        now and then, and at the end.
        """
        places, numbers = self.split.places(), self.own.numbers
        for turn in range(0, -(-len(places) // self.team.size), ROUND):
            self.team.round(f"the linear probe, from part {turn * self.team.size + 1} of {len(places)}")
            for number in numbers[turn : turn + ROUND]:
                place = slice(places[number].start, places[number].stop)
                rows = self.own.part(number)[mask[place]]
                yield number, rows.to(self.device).double(), self.split.labels[place][mask[place]].to(self.device)


@dataclass(frozen=True, eq=False)
class StreamedClassifier:
    """scores = standardised features @ weight.T + bias, for each of the categories that training had."""

    problem: StreamedProblem
    weight: Tensor
    bias: Tensor
    converged: bool

    def predict(self, rows: Rows, mask: Tensor) -> Tensor:
        """i64 [n] on the host: the category of the largest score for each row in `mask`, of all processes."""
        own = {
            number: self.problem.categories[
                (self.problem.standardised(part) @ self.weight.T + self.bias).argmax(dim=1)
            ].cpu()
            for number, part, _ in rows.chosen(mask)
        }
        return torch.cat(in_order(rows.team, own))


class StreamedProblem:
    """|W|^2 / 2 + c * sum_i CE(W z_i + b, y_i) over the rows in `mask`, z the features with every channel at mean 0 and
    deviation 1 over them; a channel that never changes is 0.
    """

    def __init__(self, rows: Rows, mask: Tensor) -> None:
        self._rows, self._mask = rows, mask
        self.count = int(mask.sum())
        self.categories = rows.split.labels[mask].unique().to(rows.device)
        largest = self._over_all([part.abs().amax(dim=0) for _, part, _ in rows.chosen(mask) if len(part)])
        bound = self.count * largest
        self.mean = self._sum((part.sum(dim=0) for _, part, _ in rows.chosen(mask)), bound) / self.count
        squares = ((part - self.mean).square().sum(dim=0) for _, part, _ in rows.chosen(mask))
        scale = (self._sum(squares, 4 * bound * largest) / self.count).sqrt()
        self.scale = torch.where(scale > 1e-8 * (1 + self.mean.abs()), scale, torch.full_like(scale, torch.inf))

    def standardised(self, part: Tensor) -> Tensor:
        """f64 [n, D]."""
        return (part - self.mean) / self.scale

    def value(self, weight: Tensor, bias: Tensor, c: float) -> tuple[float, Tensor, Tensor]:
        """The mean loss CE + |W|^2 / (2 c N) at `weight` [C, D] and `bias` [C], and its gradients."""
        losses: dict[int, Tensor] = {}

        def gradients() -> Iterator[Tensor]:
            for number, part, labels in self._rows.chosen(self._mask):
                z, positions = self.standardised(part), torch.searchsorted(self.categories, labels)
                logits = z @ weight.T + bias
                losses[number] = F.cross_entropy(logits, positions, reduction="sum")[None].cpu()
                share = logits.softmax(dim=1)
                share[torch.arange(len(share), device=share.device), positions] -= 1
                yield torch.cat([share.T @ z, share.sum(dim=0)[:, None]], dim=1)

        # Of every entry: |p - y| <= 1, and sum_i |z_i| <= N where the z of a channel have mean square 1.
        bound = torch.full(
            (len(bias), weight.shape[1] + 1), 2.0 * self.count, dtype=torch.float64, device=weight.device
        )
        sums = self._sum(gradients(), bound) / self.count
        loss = float(torch.cat(in_order(self._rows.team, losses)).sum()) / self.count
        penalty = float(weight.square().sum()) / (2 * c * self.count)
        return loss + penalty, sums[:, :-1] + weight / (c * self.count), sums[:, -1]

    def solve(self, c: float, start: StreamedClassifier | None = None) -> StreamedClassifier:
        """The minimum. The first process searches, from `start`, a solution for another c; all compute gradients."""
        device, team = self._rows.device, self._rows.team

        def value(point: tuple[Tensor, Tensor]) -> tuple[float, Tensor, Tensor]:
            return self.value(point[0].to(device), point[1].to(device), c)

        def search() -> tuple[Tensor, Tensor, bool]:
            if start is None:
                weight = torch.zeros(len(self.categories), len(self.mean), dtype=torch.float64, device=device)
                bias = torch.zeros(len(self.categories), dtype=torch.float64, device=device)
            else:
                weight, bias = start.weight.clone(), start.bias.clone()
            optimizer = lbfgs([weight, bias])

            def loss() -> float:
                team.ask((weight.cpu(), bias.cpu()))
                found, weight.grad, bias.grad = value((weight, bias))
                return found

            optimizer.step(loss)
            loss()
            assert weight.grad is not None and bias.grad is not None
            gradient = max(float(weight.grad.abs().max()), float(bias.grad.abs().max()))
            return weight.detach().cpu(), bias.detach().cpu(), gradient <= TOLERANCE

        weight, bias, converged = team.led(search, lambda point: value(point))
        return StreamedClassifier(self, weight.to(device), bias.to(device), converged)

    def _over_all(self, own: list[Tensor]) -> Tensor:
        """The largest [D] of all processes."""
        largest = torch.stack(own).amax(dim=0).cpu() if own else None
        found = [each for each in self._rows.team.gathered(largest) if each is not None]
        return torch.stack(found).amax(dim=0).to(self._rows.device)

    def _sum(self, own: Iterator[Tensor], bound: Tensor) -> Tensor:
        return exact_sum(self._rows.team, own, bound)
