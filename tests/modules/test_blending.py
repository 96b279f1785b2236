"""An image that shows two: lambda 1 is the plain image and label, labels sum to 1, binary ones are two ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from m3i_dsl.modules.blending import mixed, own_share
from m3i_dsl.modules.boltzmann import CategoryBoltzmann, mixed_labels
from m3i_dsl.modules.likelihoods import BernoulliLoss
from m3i_dsl.modules.tokens import partner
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.mixes.blend import MixupCutmix

LABELS, OTHERS = torch.tensor([0, 3, 2, 2]), torch.tensor([1, 0, 2, 4])
SHARE = torch.tensor([0.25, 0.5, 0.75, 1.0], dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(blend: MixupCutmix, count: int = 4000, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    return blend.sample(Draws(1, 0, np.arange(count), "view1/blend"), size)


def test_an_image_whose_share_is_one_is_itself() -> None:
    images = normal(4, 3, 8, 8)
    whole = torch.tensor([[0, 0, 0, 0, 1.0]]).expand(4, -1)
    assert torch.equal(mixed(images, partner(images), whole), images)
    losses = (CategoryBoltzmann(0.5, label_smoothing=0.1), BernoulliLoss(0.1), BernoulliLoss(0.1, binary=True))
    arguments = normal(4, 3), normal(5, 3, seed=1), normal(5, seed=2), LABELS
    for loss in losses:
        torch.testing.assert_close(loss(*arguments, OTHERS, own_share(whole)), loss(*arguments))


def test_a_box_shows_the_partner_and_the_rest_is_the_image() -> None:
    images = normal(2, 3, 6, 8)
    shown = mixed(images, partner(images), torch.tensor([[1, 2, 4, 7, 0.6], [0, 0, 0, 0, 0.25]]))
    assert torch.equal(shown[0, :, 1:4, 2:7], images[1, :, 1:4, 2:7])
    inside = torch.zeros(6, 8, dtype=torch.bool)
    inside[1:4, 2:7] = True
    assert torch.equal(shown[0, :, ~inside], images[0, :, ~inside])
    torch.testing.assert_close(shown[1], 0.25 * images[1] + 0.75 * images[0])


def test_labels_sum_to_one_and_binary_ones_are_two() -> None:
    """Two images of one category have one label; where the own share is 1 the other image is not there."""
    shares = mixed_labels(LABELS, OTHERS, SHARE, 5)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4, dtype=torch.float64))
    assert shares[0].tolist() == [0.25, 0.75, 0, 0, 0]
    prediction, table, bias = normal(4, 3), normal(5, 3, seed=1), normal(5, seed=2)
    logits = prediction @ table.T + bias
    ones = torch.tensor([[1, 1, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]]).double()
    for loss, answers in ((BernoulliLoss(binary=True), ones), (BernoulliLoss(), shares)):
        expected = F.binary_cross_entropy_with_logits(logits, answers)
        torch.testing.assert_close(loss(prediction, table, bias, LABELS, OTHERS, SHARE), expected)
    got = CategoryBoltzmann(0.5, label_smoothing=0.2)(prediction, table, bias, LABELS, OTHERS, SHARE)
    torch.testing.assert_close(got, F.cross_entropy(logits / 0.5, shares, label_smoothing=0.2))


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0, 4.0])
def test_lambda_is_of_the_beta_distribution(alpha: float) -> None:
    share = drawn(MixupCutmix(mixup=alpha, cutmix=0))[:, 4]
    assert abs(share.mean() - 0.5) < 0.03
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


def test_the_share_of_a_box_is_what_it_leaves() -> None:
    top, left, bottom, right, share = drawn(MixupCutmix(mixup=0, cutmix=1)).T
    assert (top >= 0).all() and (left >= 0).all() and (bottom <= 24).all() and (right <= 32).all()
    np.testing.assert_allclose(share, 1 - (bottom - top) * (right - left) / (24 * 32), atol=1e-6)
    assert 0.5 < share.mean() < 0.75  # boxes are cut off at the edges


def test_both_are_drawn_as_often_as_the_switch_says() -> None:
    boxes = drawn(MixupCutmix(switch=0.25))[:, 2] > 0
    assert 0.2 < boxes.mean() < 0.27  # some boxes are empty
    again = MixupCutmix(switch=0.25).sample(Draws(1, 0, np.arange(7, 9), "view1/blend"), (24, 32))
    assert np.array_equal(again, drawn(MixupCutmix(switch=0.25))[7:9]), "a sample's draws are its own"
