"""Every recipe trains the same on 1, 2 and 4 processes, and in microbatches where it may be accumulated; faults do not.

Equal to 1e-12 of the largest entry of a tensor. A gradient that vanishes in exact arithmetic (that of a bias which a
batch norm takes out again) is the rounding of a sum of terms of ordinary size, so a hundredth of the largest gradient
of the recipe is the least scale.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pytest

from tests.distributed.invariance import FAULTS, VARIANTS, Observed, fits, trained
from tests.distributed.processes import ONE_WORKER, run

pytestmark = ONE_WORKER

RELATIVE = 1e-12
LEAST_SCALE = 0.01

SPREAD = [
    (name, processes, microbatches) for processes, microbatches in ((1, 2), (2, 1), (2, 2), (4, 1)) for name in VARIANTS
]
"""Numbers of processes one after the other: another number is another process group."""

SHOWN_BY = {
    "candidates without gradient": "clip",
    "candidates without gradient, in chunks": "clip, chunked",
    "no offset": "table/10_dense_instance_discrimination",
    "own keys only": "densecl",
    "own correlation": "barlow_twins",
    "own batch norm": "byol",
    "batch norm with the local gradient": "byol",
    "own losses": "m3i, lossnorm",
    "own gradient norms": "m3i, gradnorm",
    "own moment": "siamese_im",
    "own centre": "dino",
}


@functools.cache
def one(name: str) -> Observed:
    """As one process without a process group."""
    return trained(name)


def differences(found: Observed, expected: Observed) -> list[str]:
    """What differs, and by how much."""
    groups = ("losses", "gradients", "parameters", "buffers")
    return [
        f"{group}: {line}" for group in groups for line in _differences(getattr(found, group), getattr(expected, group))
    ]


def _differences(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> list[str]:
    assert found.keys() == expected.keys()
    largest = {name: float(np.abs(value.astype(np.float64)).max(initial=0.0)) for name, value in expected.items()}
    least = LEAST_SCALE * max(largest.values(), default=0.0)
    lines: list[str] = []
    for name, value in expected.items():
        apart = float(np.abs(found[name].astype(np.float64) - value.astype(np.float64)).max(initial=0.0))
        if not apart <= RELATIVE * max(largest[name], least):
            lines.append(f"{name} by {apart:.3g}, largest entry {largest[name]:.3g}")
    return lines


@pytest.mark.parametrize(("name", "processes", "microbatches"), [case for case in SPREAD if fits(*case)])
def test_training_does_not_depend_on_the_number_of_processes_and_microbatches(
    name: str, processes: int, microbatches: int
) -> None:
    ranks = [trained(name, microbatches)] if processes == 1 else run(trained, name, microbatches, processes=processes)
    assert max(observed.apart for observed in ranks) == 0.0
    for observed in ranks:
        assert not _differences(observed.losses, one(name).losses)
    # The generator has its numbers for a batch, of which a microbatch is none.
    assert [line for line in differences(ranks[0], one(name)) if microbatches == 1 or "random" not in line] == []


@pytest.mark.parametrize("name", VARIANTS)
def test_every_trained_parameter_has_a_gradient(name: str) -> None:
    """So that DistributedDataParallel waits for none."""
    assert one(name).without == ()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_what_is_global_is_noticed(fault: str) -> None:
    name = SHOWN_BY[fault]
    assert differences(run(trained, name, 1, fault)[0], one(name))
