"""VICReg's terms against numpy's moments, one channel after the other."""

import itertools

import numpy as np
import pytest
import torch

from m3i_dsl.modules.moments import CovariancePenalty, VariancePenalty


def test_deviations_below_one_are_raised() -> None:
    torch.manual_seed(0)
    scales = torch.tensor([0.2, 0.9, 3.0], dtype=torch.float64)
    one, two = (scales * torch.randn(16, 3, dtype=torch.float64) for _ in range(2))
    expected = 0.0
    for view, channel in itertools.product((one, two), range(3)):
        deviation = np.sqrt(np.var(view[:, channel].numpy(), ddof=1) + 1e-4)
        expected += max(0.0, 1 - deviation) / 3 / 2
    assert VariancePenalty(0.5)(one, two).item() == pytest.approx(0.5 * expected, rel=1e-12)
    assert VariancePenalty(1)(5 * one / scales, 5 * two / scales).item() == 0


def test_covariances_are_those_of_numpy_with_gradient() -> None:
    torch.manual_seed(0)
    one, two = (torch.randn(2, 8, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    expected = 0.0
    for view in (one, two):
        matrix = np.cov(view.detach().reshape(-1, 3).numpy().T)
        expected += (np.square(matrix).sum() - np.square(np.diag(matrix)).sum()) / 3
    term = CovariancePenalty(0.04)
    assert term(one, two).item() == pytest.approx(0.04 * expected, rel=1e-12)
    assert torch.autograd.gradcheck(lambda x: term(x, two.detach()), (one,))
