"""Terms against collapse, in their textbook forms."""

import torch

from m3i_dsl.modules import penalties
from m3i_dsl.modules.normalize import standardize


def test_unigrad_is_the_mean_diagonal_of_p_c_p_with_the_same_gradient() -> None:
    prediction = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    target = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    got = penalties.unigrad(prediction, target)
    rows, others = prediction.reshape(-1, 5), target.detach().reshape(-1, 5)
    moment = sum((torch.outer(t, t) for t in others), torch.zeros(5, 5).double()) / len(others)
    expected = torch.diag(rows @ moment @ rows.T).mean() / 5
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(torch.autograd.grad(got, prediction), torch.autograd.grad(expected, prediction))
    squared = (rows @ others.T).square().mean() / 5
    torch.testing.assert_close(got, squared)
    assert torch.autograd.grad(penalties.unigrad(prediction, target), target, allow_unused=True) == (None,)
    torch.testing.assert_close(penalties.UniGradPenalty(0.02)(prediction, target), 0.02 * expected)


def test_barlow_terms_match_loops_over_the_correlation_matrix() -> None:
    first = standardize(torch.randn(8, 4, dtype=torch.float64))
    second = standardize(torch.randn(8, 4, dtype=torch.float64))
    pull, push = 0.0, 0.0
    for i in range(4):
        for j in range(4):
            c = sum((first[n, i] * second[n, j]).item() for n in range(8)) / 8
            if i == j:
                pull += (1 - c) ** 2
            else:
                push += c**2
    torch.testing.assert_close(penalties.Invariance()(first, second).item(), pull)
    torch.testing.assert_close(penalties.DecorrelationPenalty(0.0051)(first, second).item(), 0.0051 * push)
    shared = penalties.correlation(first, second)
    torch.testing.assert_close(penalties.invariance_of(shared), penalties.invariance(first, second))
    torch.testing.assert_close(penalties.decorrelation_of(shared), penalties.decorrelation(first, second))


def test_the_sum_of_one_minus_correlations_is_half_the_squared_distance() -> None:
    """The Gaussian behind Barlow Twins: sum_i (1 - C_ii) = E ||z1 - z2||^2 / 2 on standardised features."""
    first = torch.randn(16, 4, dtype=torch.float64)
    second = first + torch.randn(16, 4, dtype=torch.float64)
    # Exactly unit variance: `standardize` has an eps, which would leave a difference of its size.
    first, second = ((z - z.mean(0)) / z.std(0, unbiased=False) for z in (first, second))
    left = (1 - penalties.correlation(first, second).diagonal()).sum()
    torch.testing.assert_close(left, (first - second).square().sum(1).mean() / 2)


def test_penalties_are_float32_under_autocast() -> None:
    x = torch.randn(4, 3, 8).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert penalties.unigrad(x, x).dtype == torch.float32
        assert penalties.decorrelation(x[:, 0], x[:, 1]).dtype == torch.float32


def test_mean_entropy_is_of_all_predictions_together() -> None:
    """log K - H(mean p), as facebookresearch/msn computes it; not the mean of that of each view."""
    torch.manual_seed(0)
    views = [9 * torch.randn(4, 6, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    probabilities = torch.cat([(view / 0.5).softmax(dim=1) for view in views])
    mean_K = probabilities.mean(dim=0)
    expected = -torch.log(mean_K ** (-mean_K)).sum() + torch.tensor(6.0, dtype=torch.float64).log()
    term = penalties.MeanEntropyPenalty(0.7, 0.5)
    torch.testing.assert_close(term(*views), 0.7 * expected)
    assert torch.stack([term(view) for view in views]).mean() > 1.2 * term(*views)
    same = torch.zeros(4, 6, dtype=torch.float64)
    torch.testing.assert_close(term(same), torch.zeros((), dtype=torch.float64), atol=1e-12, rtol=0)


def test_koleo_is_the_log_distance_to_the_nearest_other_row() -> None:
    """As facebookresearch/dinov2 has it, and with its gradient; a pair of equal rows stays finite."""
    torch.manual_seed(0)
    features = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    rows = features / features.norm(dim=1, keepdim=True)
    closest = [
        min((torch.dist(row, other), n) for n, other in enumerate(rows) if n != i)[1] for i, row in enumerate(rows)
    ]
    expected = -0.1 * torch.stack([torch.dist(row, rows[n]).log() for row, n in zip(rows, closest, strict=True)]).mean()
    term = penalties.KoLeoPenalty(0.1)(features)
    torch.testing.assert_close(term, expected, rtol=1e-6, atol=0)
    ours, theirs = (torch.autograd.grad(each, features, retain_graph=True)[0] for each in (term, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-8)
    assert torch.isfinite(penalties.KoLeoPenalty(0.1)(torch.ones(3, 4)))
