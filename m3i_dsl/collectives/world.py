"""How many processes train together, and which rows of the global batch each of them has.

Takes: the process group of torch.distributed, if there is one. Gives: `World`. Guarantees: without a process group, and
inside `alone`, the world is one process; nothing here communicates. A recorded world (recorded.py) is a pretended one.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch.distributed as dist


@dataclass(frozen=True, slots=True)
class World:
    """Process `rank` of `size`. Of a global batch of B rows it has rows [rank B / size, (rank + 1) B / size)."""

    rank: int
    size: int

    def rows(self, batch: int) -> slice:
        """This process's rows of a global batch of `batch`. Raises ValueError unless the processes share it evenly."""
        own, left = divmod(batch, self.size)
        if left:
            raise ValueError(f"{self.size} processes cannot share a batch of {batch} evenly")
        return slice(self.rank * own, (self.rank + 1) * own)


ONE = World(0, 1)
_pretended = 0
"""How many processes there are said to be, 0 for as many as there are: a number, which torch.compile can guard."""


def world() -> World:
    """The processes of the default group; one process when torch.distributed is not initialised, and inside `alone`."""
    if _pretended:
        return World(0, _pretended)
    if not dist.is_available() or not dist.is_initialized():
        return ONE
    return World(dist.get_rank(), dist.get_world_size())


@contextmanager
def pretended(size: int) -> Generator[None]:
    """What runs inside is told that it is rank 0 of `size` processes. Raises ValueError for less than one."""
    global _pretended
    if size < 1:
        raise ValueError(f"a world has at least one process, not {size}")
    before, _pretended = _pretended, size
    try:
        yield
    finally:
        _pretended = before


@contextmanager
def alone() -> Generator[None]:
    """What runs inside sees one process: shape checks, plans, evaluations that not every rank runs.

    A collective that only some ranks call would wait for the others for ever.
    """
    with pretended(1):
        yield
