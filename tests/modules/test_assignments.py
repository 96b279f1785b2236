"""Shares of prototypes: a running centre, a temperature that moves, balanced shares, and cosines that make them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from m3i_dsl.modules.assignments import CenteringAssignment, SharpeningAssignment, SinkhornAssignment
from m3i_dsl.modules.boltzmann import PrototypeBoltzmann
from m3i_dsl.modules.predictors.prototypes import PrototypesHead
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.vocabulary.values import Duration, Ramp


def _scores(*views: int, batch: int = 6, count: int = 5) -> list[Tensor]:
    return [
        torch.randn(batch, count, dtype=torch.float64, generator=torch.Generator().manual_seed(view)) for view in views
    ]


def test_every_view_is_centred_by_the_mean_before_the_step_which_moves_once() -> None:
    centering = CenteringAssignment(5, 0.9).double()
    start = torch.arange(5, dtype=torch.float64)
    centering.center.copy_(start)
    first, second = _scores(1, 2)
    one, two = centering(first, second)
    torch.testing.assert_close(one, first - start)
    torch.testing.assert_close(two, second - start)
    torch.testing.assert_close(centering.center, 0.9 * start + 0.1 * torch.cat([first, second]).mean(dim=0))
    assert "center" in centering.state_dict()


def test_evaluation_does_not_move_the_centre() -> None:
    centering = CenteringAssignment(5, 0.9).double().eval()
    centering(*_scores(1))
    assert not centering.center.any()


@pytest.mark.parametrize(
    ("step", "value"), [(0, 0.04), (1, 0.04 + 0.03 / 4), (2, 0.055), (4, 0.07), (5, 0.07), (99, 0.07)]
)
def test_a_temperature_moves_over_its_warmup_and_then_stays(step: int, value: float) -> None:
    sharpening = SharpeningAssignment(Ramp(0.04, 0.07, "linear"), Duration(40.0, "samples"))
    scalars = Scalars(sharpening, 100, lambda duration: int(duration.value / 10))
    (scores,) = _scores(1)
    scalars.set(step)
    torch.testing.assert_close(sharpening(scores), (scores / value).softmax(dim=1))
    # A function of the step, not state: a resumed run has it without a checkpoint.
    assert not sharpening.state_dict()


def test_a_ramp_without_a_warmup_takes_all_of_training() -> None:
    sharpening = SharpeningAssignment(Ramp(0.04, 0.08, "linear"), None)
    Scalars(sharpening, 8, lambda _: 1).set(4)
    (scores,) = _scores(1)
    torch.testing.assert_close(sharpening(scores), (scores / 0.06).softmax(dim=1))


def test_sinkhorn_gives_every_prototype_an_equal_share() -> None:
    scores = nn.functional.normalize(_scores(1, batch=8, count=4)[0], dim=1)
    shares = SinkhornAssignment(Ramp.constant(0.2), 200)(scores)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(8, dtype=torch.float64))
    torch.testing.assert_close(shares.sum(dim=0), torch.full((4,), 2.0, dtype=torch.float64), rtol=1e-6, atol=0)
    # Scaling rows and columns leaves the cross-ratios of exp(scores / temperature) as they were.
    raw = (scores / 0.2).exp()
    ratio = shares[0, 0] * shares[1, 1] / (shares[0, 1] * shares[1, 0])
    torch.testing.assert_close(ratio, raw[0, 0] * raw[1, 1] / (raw[0, 1] * raw[1, 0]))


def test_sinkhorn_balances_each_view_by_itself() -> None:
    first, second = _scores(1, 2)
    sinkhorn = SinkhornAssignment(Ramp.constant(0.5), 3)
    for together, alone in zip(sinkhorn(first, second), (sinkhorn(first), sinkhorn(second)), strict=True):
        torch.testing.assert_close(together, alone, rtol=0, atol=0)


def test_cosines_are_those_of_weight_norm_with_unit_norms() -> None:
    torch.manual_seed(0)
    head = PrototypesHead(6, 7, layers=2, hidden=8, width=5, activation="gelu", norm_kind=None).double()
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(5, 7, bias=False).double())
    weights: Any = normed.parametrizations["weight"]
    weights.original0.data.fill_(1.0)
    weights.original1.data.copy_(head.prototypes.weight)
    features = torch.randn(3, 6, dtype=torch.float64)
    scores = head(features)
    expected = normed(nn.functional.normalize(head.mlp(features), dim=1))
    torch.testing.assert_close(scores, expected)
    given = torch.randn_like(scores)
    ours = torch.autograd.grad((scores * given).sum(), head.prototypes.weight)[0]
    theirs = torch.autograd.grad((expected * given).sum(), weights.original1)[0]
    torch.testing.assert_close(ours, theirs)


def test_the_loss_is_torchs_cross_entropy_with_shares() -> None:
    scores, raw = _scores(1, 2)
    shares = raw.softmax(dim=1)
    torch.testing.assert_close(
        PrototypeBoltzmann(0.1)(scores, shares), nn.functional.cross_entropy(scores / 0.1, shares)
    )


def test_the_centre_of_tokens_is_their_mean_over_images_and_views() -> None:
    first, second = (torch.randn(4, 3, 5, dtype=torch.float64) for _ in range(2))
    centring = CenteringAssignment(5, 0.9).double()
    assert all(torch.equal(made, given) for made, given in zip(centring(first, second), (first, second), strict=True))
    expected = 0.1 * torch.cat([first, second]).mean(dim=(0, 1))
    torch.testing.assert_close(centring.center, expected)


@pytest.mark.parametrize("iterations", [1, 3])
def test_sinkhorn_of_sharpened_shares_is_msns_and_not_swavs(iterations: int) -> None:
    """MSN: softmax at 0.1, p^(1/T) renormalised with T = 0.25, then scaled as the published code does."""
    scores = nn.functional.normalize(_scores(1, batch=16, count=6)[0], dim=1)
    shares = (scores / 0.1).softmax(dim=1) ** (1 / 0.25)
    q_KB = (shares / shares.sum(dim=1, keepdim=True)).T
    q_KB = q_KB / q_KB.sum()
    for _ in range(iterations):
        q_KB = q_KB / q_KB.sum(dim=1, keepdim=True) / 6
        q_KB = q_KB / q_KB.sum(dim=0, keepdim=True) / 16
    sharpened = SharpeningAssignment(Ramp.constant(0.025), None)(scores)
    assert isinstance(sharpened, torch.Tensor)
    made = SinkhornAssignment(None, iterations)(sharpened)
    torch.testing.assert_close(made, 16 * q_KB.T)
    assert (made - SinkhornAssignment(Ramp.constant(0.025), iterations)(scores)).abs().max() > 0.05


def test_sinkhorn_of_some_tokens_is_that_of_those_alone() -> None:
    scores = nn.functional.normalize(torch.randn(3, 4, 5, dtype=torch.float64), dim=-1)
    filled = torch.arange(4) < torch.tensor([[4], [0], [2]])
    sinkhorn = SinkhornAssignment(Ramp.constant(0.1), 3)
    made = sinkhorn(scores, filled=filled)
    assert isinstance(made, torch.Tensor)
    torch.testing.assert_close(made[filled], sinkhorn(scores[filled]))
    assert bool((made[~filled] == 0).all())
