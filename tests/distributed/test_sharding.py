"""FSDP2 and HSDP train what one process trains: losses, gradient norms, weights, averages and buffers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torch.distributed as dist

from m3i_dsl.runtime.distributed.wrapping import Sharding
from m3i_dsl.vocabulary.kinds import Optimizer
from m3i_dsl.vocabulary.optimizers import WORDS, AdamW, Lamb, Lars, Sgd
from m3i_dsl.vocabulary.values import Rate
from tests.distributed.processes import ONE_WORKER, run
from tests.distributed.steps import After, steps

pytestmark = ONE_WORKER

RECIPES = ("mae", "m3i", "m3i, gradnorm", "clip", "byol", "dino")
"""Decoders, targets of a mix weighted by likelihood and by their gradients, gathered texts with a learned temperature,
batch norm, scheduled shares. Names of tests/distributed/invariance.py."""

OPTIMIZERS: Mapping[str, Optimizer] = {
    word.name: word
    for word in (
        Sgd(lr=Rate(0.1, None)),
        Lars(lr=Rate(10.0, None)),
        Lamb(lr=Rate(0.01, None)),
        AdamW(lr=Rate(0.01, None)),
    )
}
"""Each trains one encoder, in a case of its own."""

WAYS: tuple[tuple[Sharding, int], ...] = (("fsdp", 2), ("hsdp", 4))


def all_steps(sharding: Sharding = "none", size: int = 1) -> dict[str, After]:
    rank = dist.get_rank() if size > 1 else 0
    found = {recipe: steps(recipe, sharding, rank=rank, size=size) for recipe in RECIPES}
    return found | {
        name: steps("mae", sharding, rank=rank, size=size, count=2, optimizer=word) for name, word in OPTIMIZERS.items()
    }


@pytest.fixture(scope="module")
def alone() -> dict[str, After]:
    return all_steps()


def test_every_optimizer_is_among_them() -> None:
    assert OPTIMIZERS.keys() == {word.name for word in WORDS}


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
