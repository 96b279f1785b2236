"""The processes of the tests themselves: what a failure and a hang look like, and that the next test goes on."""

from __future__ import annotations

import os
import time

import pytest
import torch
import torch.distributed as dist

from tests.distributed.processes import ONE_WORKER, RemoteFailure, run

pytestmark = ONE_WORKER


def summed(value: float) -> tuple[int, float]:
    """Its rank, and the sum of `value` times rank + 1."""
    total = torch.tensor(value * (dist.get_rank() + 1), dtype=torch.float64)
    dist.all_reduce(total)
    return dist.get_rank(), total.item()


def raising_on(rank: int) -> None:
    """The others wait for it in a collective."""
    if dist.get_rank() == rank:
        raise ValueError("out of tune")
    dist.barrier()


def exiting_on(rank: int) -> None:
    """As a process that is killed."""
    if dist.get_rank() == rank:
        os._exit(7)
    dist.barrier()


def hanging() -> None:
    """Rank 1 sleeps, rank 0 waits for it."""
    if dist.get_rank() == 1:
        time.sleep(600)
    dist.barrier()


def test_each_rank_answers_and_the_number_of_processes_may_change() -> None:
    for size in (2, 1, 3, 2):
        assert run(summed, 2.0, processes=size) == [(rank, size * (size + 1.0)) for rank in range(size)]


def test_a_failure_names_its_rank_and_shows_the_traceback_there() -> None:
    with pytest.raises(RemoteFailure, match="out of tune") as caught:
        run(raising_on, 1)
    assert any("raising_on" in note and "rank 1" in note for note in caught.value.__notes__)
    assert run(summed, 1.0) == [(0, 3.0), (1, 3.0)]


def test_a_process_that_ends_is_a_failure() -> None:
    with pytest.raises(RemoteFailure, match="ended with code 7"):
        run(exiting_on, 0)


def test_a_hang_ends_and_shows_where_each_rank_stands() -> None:
    with pytest.raises(RemoteFailure, match="rank 0, 1 of 2") as caught:
        run(hanging, seconds=2)
    assert len(caught.value.__notes__) == 2
    assert all("in hanging" in note for note in caught.value.__notes__)
