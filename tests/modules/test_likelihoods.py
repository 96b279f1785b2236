"""The families without a candidate set, against their formulas."""

import pytest
import torch

from m3i_dsl.modules import likelihoods


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(3, 5, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    return 2 * first, second


def test_gaussian_is_the_mean_over_rows_of_the_squared_distance(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, target = pair
    distances = [((p - t) ** 2).sum() for p, t in zip(prediction.reshape(-1, 4), target.reshape(-1, 4), strict=True)]
    expected = torch.stack(distances).mean()
    torch.testing.assert_close(likelihoods.gaussian(prediction, target, "sum"), expected)
    torch.testing.assert_close(likelihoods.gaussian(prediction, target, "mean"), expected / 4)
    torch.testing.assert_close(likelihoods.GaussianLoss("sum")(prediction, target), expected)


def test_laplace_is_the_mean_absolute_error(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, target = pair
    torch.testing.assert_close(likelihoods.LaplaceLoss()(prediction, target), (prediction - target).abs().mean())


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_huber_is_square_inside_and_linear_outside(pair: tuple[torch.Tensor, torch.Tensor], beta: float) -> None:
    prediction, target = pair
    error = (prediction - target).abs()
    expected = torch.where(error < beta, error**2 / (2 * beta), error - beta / 2).mean()
    torch.testing.assert_close(likelihoods.HuberLoss(beta)(prediction, target), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_bernoulli_counts_each_category_by_itself(smoothing: float) -> None:
    prediction, table = torch.randn(4, 6, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
    bias, labels = torch.randn(5, dtype=torch.float64), torch.tensor([0, 4, 2, 2])
    terms: list[torch.Tensor] = []
    for n in range(4):
        for c in range(5):
            p = torch.sigmoid(prediction[n] @ table[c] + bias[c])
            y = (1 - smoothing) * (labels[n] == c).double() + smoothing / 5
            terms.append(-(y * p.log() + (1 - y) * (1 - p).log()))
    got = likelihoods.BernoulliLoss(smoothing)(prediction, table, bias, labels)
    torch.testing.assert_close(got, torch.stack(terms).mean())


def test_narrow_types_are_compared_in_float32() -> None:
    prediction, target = torch.randn(4, 8).bfloat16(), torch.randn(4, 8).bfloat16()
    got = likelihoods.gaussian(prediction, target)
    assert got.dtype == torch.float32
    assert torch.equal(got, (prediction.float() - target.float()).square().mean())


@pytest.mark.parametrize(
    "loss",
    [likelihoods.GaussianLoss(), likelihoods.GaussianLoss("sum"), likelihoods.LaplaceLoss(), likelihoods.HuberLoss(2)],
)
def test_tokens_that_do_not_count_are_left_out_image_by_image(
    pair: tuple[torch.Tensor, torch.Tensor], loss: torch.nn.Module
) -> None:
    """Images with 5, 2 and no tokens: the mean of each image first, and 0 for the last."""
    prediction, target = pair
    filled = torch.arange(5) < torch.tensor([[5], [2], [0]])
    images = [loss(p[None, :n], t[None, :n]) for p, t, n in zip(prediction, target, (5, 2), strict=False)]
    torch.testing.assert_close(loss(prediction, target, filled=filled), sum(images) / 3)
    torch.testing.assert_close(loss(prediction, target, filled=torch.ones(3, 5) > 0), loss(prediction, target))
