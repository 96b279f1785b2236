"""The rule of gradients, stated in m3i_dsl/collectives: the gradient of many processes is that of one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from m3i_dsl.collectives import World, alone, gather, largest, mean, offset, own, total, world
from tests.distributed.processes import ONE_WORKER, run

pytestmark = ONE_WORKER

WIDTH, BATCH = 3, 8


def _rows() -> Tensor:
    return torch.randn(BATCH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _weight() -> Tensor:
    return torch.randn(
        WIDTH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True
    )


def _loss(weight: Tensor) -> Tensor:
    """Own rows against all (gather), all against moments of all (total), and a scale by the mean (mean)."""
    z = own(_rows()) @ weight
    all_ = gather(z)
    contrast = -torch.log_softmax(z @ all_.T, dim=1)[torch.arange(len(z)), offset(len(z)) + torch.arange(len(z))].mean()
    moment = total(z.T @ z) / len(all_)
    return contrast + moment.square().sum() * mean(z.square().mean()).sqrt()


def gradients() -> tuple[World, Tensor, Tensor, Tensor]:
    """The mean loss, its gradient as DDP averages it, and the gradient of a squared gradient, which is a second one."""
    weight = _weight()
    loss = _loss(weight)
    (gradient,) = torch.autograd.grad(loss, weight, create_graph=True)
    # The first gradient is a sum of parts over processes: its global value is their mean.
    (second,) = torch.autograd.grad(mean(gradient).square().sum(), weight)
    return world(), mean(loss.detach()), mean(gradient.detach()), mean(second)


def others() -> tuple[Tensor, Tensor, Tensor, int, int, bool]:
    """What has no gradient: truth values, whole numbers, the maximum; and a world of one inside `alone`."""
    here = world()
    value = torch.arange(2 * here.rank, 2 * here.rank + 2)
    with alone():
        inside = world().size, gather(value) is value
    return gather(value % 3 == 0), gather(value), largest(-value), *inside, world() == here


@pytest.mark.parametrize("processes", [2, 4])
def test_losses_and_first_and_second_gradients_are_those_of_one_process(processes: int) -> None:
    one, *expected = gradients()
    assert one == World(0, 1)
    for rank, (here, *found) in enumerate(run(gradients, processes=processes)):
        assert here == World(rank, processes)
        for value, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(value, wanted, rtol=1e-13, atol=1e-13)


def test_one_process_gets_its_own_tensor_back() -> None:
    x = torch.randn(4, 2, requires_grad=True)
    assert all(function(x) is x for function in (gather, own, total, mean))


def test_rows_come_in_rank_order_whatever_their_type() -> None:
    for truth, numbers, top, size, same, back in run(others, processes=3):
        assert torch.equal(numbers, torch.arange(6))
        assert torch.equal(truth, torch.arange(6) % 3 == 0)
        assert torch.equal(top, torch.tensor([0, -1]))
        assert (size, same, back) == (1, True, True)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    assert World(1, 4).rows(8) == slice(2, 4)
    with pytest.raises(ValueError, match="3 processes cannot share a batch of 8 evenly"):
        World(0, 3).rows(8)
