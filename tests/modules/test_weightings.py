"""How losses become one: formulas, gradients and smoothing."""

import math

import pytest
import torch
from torch import Tensor

from m3i_dsl.modules.weightings import FixedWeighting, GradNormWeighting, LikelihoodWeighting, LossNormWeighting


def losses_of(shared: Tensor) -> list[Tensor]:
    """Two losses whose gradients at `shared` differ by a factor."""
    return [shared.square().sum(), 3 * shared.sum()]


@pytest.fixture
def shared() -> Tensor:
    return torch.tensor([[1.0, 2.0], [-1.0, 0.5]], dtype=torch.float64, requires_grad=True)


def test_fixed_is_the_weighted_sum(shared: Tensor) -> None:
    losses = losses_of(shared)
    total, weights = FixedWeighting((0.3, 2.0))(losses, shared)
    assert torch.equal(total, 0.3 * losses[0] + 2.0 * losses[1])
    assert weights.tolist() == [0.3, 2.0] and not weights.requires_grad


def test_likelihood_learns_a_spread_for_each_family(shared: Tensor) -> None:
    weighting = LikelihoodWeighting(("gaussian", "boltzmann"), (1.0, 2.0)).double()
    with torch.no_grad():
        weighting.s.copy_(torch.tensor([0.5, -0.25]))
    losses = losses_of(shared)
    total, weights = weighting(losses, shared)
    expected = 0.5 * math.exp(-0.5) * losses[0] + 0.25 + 2 * (math.exp(0.25) * losses[1] - 0.125)
    torch.testing.assert_close(total, expected)
    assert weights.tolist() == pytest.approx([0.5 * math.exp(-0.5), 2 * math.exp(0.25)])
    total.backward()
    assert weighting.s.grad is not None
    slope = [0.5 - 0.5 * math.exp(-0.5) * losses[0].item(), 2 * (0.5 - math.exp(0.25) * losses[1].item())]
    assert weighting.s.grad.tolist() == pytest.approx(slope)


def test_the_best_gaussian_spread_is_the_mean_squared_error() -> None:
    """At s = log mse the term is (1 + log mse) / 2, and its slope is zero."""
    weighting = LikelihoodWeighting(("gaussian",), (1.0,)).double()
    mse = torch.tensor(0.3, dtype=torch.float64)
    with torch.no_grad():
        weighting.s.fill_(math.log(0.3))
    total, _ = weighting([mse], mse)
    total.backward()
    assert total.item() == pytest.approx((1 + math.log(0.3)) / 2)
    assert weighting.s.grad is not None and weighting.s.grad.item() == pytest.approx(0, abs=1e-12)


def test_a_collapsing_target_cannot_take_all_the_weight() -> None:
    weighting = LikelihoodWeighting(("boltzmann",), (1.0,)).double()
    with torch.no_grad():
        weighting.s.fill_(-9.0)
    loss = torch.tensor(1e-6, dtype=torch.float64)
    total, weights = weighting([loss], loss)
    assert weights.item() == pytest.approx(math.exp(4))
    total.backward()
    assert weighting.s.grad is not None and weighting.s.grad.item() == 0  # descent would lower it further


def test_lossnorm_divides_by_the_smoothed_loss() -> None:
    weighting = LossNormWeighting((1.0, 2.0)).double()
    anchor = torch.zeros(1)
    total, weights = weighting([torch.tensor(4.0).double(), torch.tensor(0.5).double()], anchor)
    assert weights.tolist() == [0.25, 4.0] and total.item() == pytest.approx(1 + 2)
    _, weights = weighting([torch.tensor(2.0).double(), torch.tensor(0.5).double()], anchor)
    assert weights.tolist() == pytest.approx([1 / 3.8, 4.0])


def test_gradnorm_gives_every_loss_the_same_pull(shared: Tensor) -> None:
    weighting = GradNormWeighting((1.0, 1.0)).double()
    losses = losses_of(shared)
    total, weights = weighting(losses, shared)
    norms = [(2 * shared).norm().item(), 3 * math.sqrt(4)]
    assert weights.sum().item() == pytest.approx(2)
    assert weights[0].item() * norms[0] == pytest.approx(weights[1].item() * norms[1])
    total.backward()
    assert shared.grad is not None
    torch.testing.assert_close(shared.grad, weights[0] * 2 * shared.detach() + weights[1] * 3)


def test_gradnorm_smooths_over_steps_and_keeps_its_weights_in_evaluation(shared: Tensor) -> None:
    weighting = GradNormWeighting((1.0, 1.0)).double()
    first = torch.tensor([norm_ratio(losses_of(shared), shared, k) for k in range(2)])
    weighting(losses_of(shared), shared)
    scaled = [10 * losses_of(shared)[0], losses_of(shared)[1]]
    second = torch.tensor([norm_ratio(scaled, shared, k) for k in range(2)])
    _, weights = weighting(scaled, shared)
    smoothed = 0.9 * first + 0.1 * second
    assert weights.tolist() == pytest.approx((2 * smoothed / smoothed.sum()).tolist())
    weighting.eval()
    with torch.no_grad():
        _, evaluated = weighting(losses_of(shared), shared.detach())
    assert evaluated.tolist() == pytest.approx(weights.tolist())


def test_gradnorm_measures_its_gradients_without_autocast() -> None:
    torch.manual_seed(0)
    shared = torch.randn(64, 32, requires_grad=True)
    factors = [torch.randn(32, 32) for _ in range(2)]
    losses = [(shared @ factor).square().mean() for factor in factors]
    _, expected = GradNormWeighting((1.0, 1.0))(losses, shared)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, found = GradNormWeighting((1.0, 1.0))(losses, shared)
    assert torch.equal(found, expected)


def norm_ratio(losses: list[Tensor], shared: Tensor, k: int) -> float:
    """mean |g| / |g_k|."""
    norms = [torch.autograd.grad(loss, shared, retain_graph=True)[0].norm().item() for loss in losses]
    return sum(norms) / len(norms) / norms[k]
