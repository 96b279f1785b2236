"""The queue of past keys."""

import pytest
import torch

from m3i_dsl.modules.queue import Queue


def test_the_oldest_keys_leave_first() -> None:
    queue = Queue(6, 2).double()
    batches = [torch.full((2, 2), float(k)).double() for k in range(1, 5)]
    for batch in batches:
        queue.push(batch)
    assert queue.keys[:, 0].tolist() == [4, 4, 2, 2, 3, 3]
    assert queue.pointer.item() == 2


def test_it_starts_with_unit_vectors_that_are_drawn_like_the_weights() -> None:
    torch.manual_seed(1)
    one, other = Queue(5, 3), Queue(5, 3)
    torch.manual_seed(1)
    same = Queue(5, 3)
    assert torch.equal(one.keys, same.keys) and not torch.equal(one.keys, other.keys)
    torch.testing.assert_close(one.keys.norm(dim=1), torch.ones(5))
    assert set(one.state_dict()) == {"keys", "pointer"}


def test_a_batch_must_divide_the_queue() -> None:
    with pytest.raises(ValueError, match="must divide"):
        Queue(6, 2).push(torch.zeros(4, 2))


def test_keys_enter_without_gradient() -> None:
    queue = Queue(2, 2)
    queue.push(torch.ones(2, 2, requires_grad=True) * 3)
    assert not queue.keys.requires_grad
