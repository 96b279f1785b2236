"""FSDP2 and HSDP train what one process trains: losses, gradient norms, weights, averages and buffers."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from m3i_dsl.runtime.distributed.wrapping import Sharding
from tests.distributed.processes import ONE_WORKER, run
from tests.distributed.steps import After, steps

pytestmark = ONE_WORKER

RECIPES = ("mae", "m3i", "m3i, gradnorm", "clip", "byol", "dino")
"""Decoders, targets of a mix weighted by likelihood and by their gradients, gathered texts with a learned temperature,
batch norm, scheduled shares. Names of tests/distributed/invariance.py."""

WAYS: tuple[tuple[Sharding, int], ...] = (("fsdp", 2), ("hsdp", 4))


def all_steps(sharding: Sharding, size: int) -> dict[str, After]:
    return {recipe: steps(recipe, sharding, rank=dist.get_rank(), size=size) for recipe in RECIPES}


@pytest.fixture(scope="module")
def alone() -> dict[str, After]:
    return {recipe: steps(recipe) for recipe in RECIPES}


@pytest.mark.parametrize(("sharding", "size"), WAYS)
def test_every_way_of_spreading_trains_the_same(alone: dict[str, After], sharding: Sharding, size: int) -> None:
    ranks = run(all_steps, sharding, size, processes=size, seconds=120)
    for recipe, expected in alone.items():
        found = [rank[recipe] for rank in ranks]
        means = [sum(one.losses[number] for one in found) / size for number in range(len(expected.losses))]
        assert means == pytest.approx(expected.losses, rel=1e-12), recipe
        for one in found:
            assert one.norms == pytest.approx(expected.norms, rel=1e-12), recipe
            assert one.state.keys() == expected.state.keys()
            for name, tensor in expected.state.items():
                # AdamW divides by the root of squares: where a gradient is nearly nothing, its last digits show.
                torch.testing.assert_close(one.state[name], tensor, rtol=1e-10, atol=1e-11, msg=f"{recipe} {name}")
