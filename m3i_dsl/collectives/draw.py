"""Random numbers of a module, the same for a sample whichever process has it.

Takes: the shape of this process's rows and how to fill a tensor with random numbers. Gives: those of this process.
Guarantees: they are drawn for the whole global batch and sliced: torch's generator moves alike on all processes, and a
sample gets the numbers that it gets when one process has the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from m3i_dsl.collectives.gather import own
from m3i_dsl.collectives.world import world


def drawn(like: Tensor, shape: Sequence[int], fill: Callable[[Tensor], Tensor]) -> Tensor:
    """[B / W, ...] of `shape`, in the dtype and on the device of `like`; `fill` is an in-place draw as `normal_`."""
    rows, *rest = shape
    here = world()
    return own(fill(like.new_empty(here.size * rows, *rest)), here)
