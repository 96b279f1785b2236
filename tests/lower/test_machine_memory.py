"""A part that no memory holds is refused before any of it is allocated."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from m3i_dsl.lower.machine_memory import MachineMemory
from m3i_dsl.vocabulary.kinds import WordError


def test_parts_are_counted_beside_each_other() -> None:
    memory = MachineMemory(size=5 * 2**30)
    memory.take(lambda: nn.Linear(2**15, 2**15))
    with pytest.raises(WordError, match="its weights take 4 GiB, and this machine has 5 GiB of memory"):
        memory.take(lambda: nn.Linear(2**15, 2**15))


@pytest.mark.parametrize("width", [2**20, 2**31, 2**40])
def test_no_size_is_allocated(width: int) -> None:
    with pytest.raises(WordError, match="its weights"):
        MachineMemory().take(lambda: nn.Linear(width, width))


def test_counting_draws_no_random_number() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    MachineMemory().take(lambda: nn.Linear(64, 64))
    assert torch.equal(before, torch.random.get_rng_state())
