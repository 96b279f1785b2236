"""Shares of prototypes on several processes are those of one process with all rows."""

from __future__ import annotations

import torch
from torch import Tensor

from m3i_dsl.collectives import gather, own
from m3i_dsl.modules.assignments import CenteringAssignment, SinkhornAssignment
from m3i_dsl.vocabulary.values import Ramp
from tests.distributed.processes import ONE_WORKER, run

pytestmark = ONE_WORKER


def balanced() -> tuple[Tensor, Tensor, Tensor]:
    """The centre after two steps of two views, what the second step yields, and Sinkhorn's shares; of all rows."""
    scores = torch.rand(4, 8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    centering = CenteringAssignment(5, 0.5).double()
    centering(own(scores[0]), own(scores[1]))
    centred, _ = centering(own(scores[2]), own(scores[3]))
    shares = SinkhornAssignment(Ramp.constant(0.3), 3)(own(scores[0]))
    assert isinstance(shares, Tensor)
    return centering.center, gather(centred), gather(shares)


def test_the_centre_and_the_sums_are_of_the_global_batch() -> None:
    expected = balanced()
    for found in run(balanced, processes=2):
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-13)
