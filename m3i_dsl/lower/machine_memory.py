"""Parts that no memory holds.

Takes: how a part is built. Gives: nothing, or the reason why it cannot be. Guarantees: the part is counted on `meta`,
where it takes no memory, before any of it is allocated; a system that would lend more than it has is not asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import nn

from m3i_dsl.vocabulary.kinds import WordError

_UNITS = ("MiB", "GiB", "TiB", "PiB", "EiB")


class MachineMemory:
    """What is left of the machine's memory while parts are built."""

    def __init__(self, size: int | None = None) -> None:
        self._size = size or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._left = self._size

    def take(self, build: Callable[[], nn.Module]) -> None:
        """Counts the weights of a part. Raises WordError when they do not fit beside those before."""
        try:
            with torch.random.fork_rng(devices=[]), torch.device("meta"):
                built = build()
        except (RuntimeError, OverflowError) as fault:  # more elements than a tensor can count
            raise WordError(f"its weights are more than memory can hold: {str(fault).splitlines()[0]}") from fault
        tensors = {id(tensor): tensor for tensor in (*built.parameters(), *built.buffers())}
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        self._left -= size
        if self._left < 0:
            told = f"its weights take {_text(size)}, and this machine has {_text(self._size)} of memory"
            raise WordError(told, help="make it smaller")


def _text(size: int) -> str:
    """Bytes in the largest unit of which there is one."""
    power = min(max(0, (size.bit_length() - 1) // 10 - 2), len(_UNITS) - 1)
    return f"{size / 2 ** (10 * (power + 2)):,.0f} {_UNITS[power]}"
