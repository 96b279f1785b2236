"""Features that are kept for a measurement.

Takes: the features of one part of a split after the other. Gives: them, part by part, or all of them. Guarantees: exact
float32; at most IN_MEMORY bytes of memory, and what is more lies in a file without a name, in the folder for temporary
files (TMPDIR), which the system removes when this process ends, however it does.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
import torch
from torch import Tensor

from m3i_dsl.runtime.faults import cannot_write
from m3i_dsl.vocabulary.kinds import PART, Team

IN_MEMORY = 128 * 2**20


class Features:
    """f32 [n, D] for each of some parts of a split, by their numbers."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[int, int]] = {}
        self._memory: Tensor | None = None
        self._file: IO[bytes] | None = None
        self.values = 0
        """How many numbers are kept."""
        self.width = 0

    @classmethod
    def of(cls, rows: Tensor) -> Features:
        """Of a split whose features [N, D] are at hand, on the host."""
        found = cls()
        for number, part in enumerate(rows.split(PART)):
            found.add(number, part)
        return found

    @property
    def numbers(self) -> list[int]:
        """Of the parts that are kept, ascending."""
        return sorted(self._places)

    def add(self, number: int, rows: Tensor) -> None:
        """Keeps the features of one part. Raises TrainingFault (M3I0706) when a disk is full."""
        rows = rows.detach().float().cpu().contiguous()
        self.width = rows.shape[1]
        start, self.values = self.values, self.values + rows.numel()
        self._places[number] = (start, len(rows))
        if 4 * self.values > IN_MEMORY:
            with _written():
                self._write(rows, start)
            return
        if self._memory is None:
            # In one piece, of which the system gives what is used: small ones that stay would lie between the large
            # ones that come and go with every part, and the heap would grow around them.
            self._memory = torch.empty(IN_MEMORY // 4)
        self._memory[start : self.values] = rows.flatten()

    def part(self, number: int) -> Tensor:
        """f32 [n, D]."""
        start, count = self._places[number]
        if self._memory is not None:
            return self._memory[start : start + count * self.width].view(count, self.width)
        assert self._file is not None
        rows = np.empty((count, self.width), dtype=np.float32)
        # Not mapped: what is read of a file in this way belongs to the system, and no process holds it.
        if os.preadv(self._file.fileno(), [rows.data], 4 * start) != rows.nbytes:
            raise OSError("the file of features is shorter than what was written")
        return torch.from_numpy(rows)

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        return ((number, self.part(number)) for number in self.numbers)

    def whole(self, team: Team, places: list[range]) -> Tensor:
        """f32 [N, D] of the parts of all processes, which lie at `places`."""
        if not places:
            return torch.empty(0, self.width)
        rows: Tensor | None = None
        kept = set(self.numbers)
        for first in range(0, len(places), team.size):
            own = first + team.rank
            # A copy: of a part of a tensor the whole memory would be sent.
            given = self.part(own).clone() if own in kept else None
            for number, part in enumerate(team.gathered(given), first):
                if part is None:
                    continue
                rows = _room(places[-1].stop, part.shape[1]) if rows is None else rows
                rows[places[number].start : places[number].stop] = part
        assert rows is not None
        return rows

    def _write(self, rows: Tensor, start: int) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="m3ic-features-")  # noqa: SIM115  # open as long as this is
            weakref.finalize(self, self._file.close)
        if self._memory is not None:
            self._file.write(self._memory[:start].numpy().data)
            self._memory = None
        self._file.write(rows.numpy().data)
        self._file.flush()


def _room(count: int, width: int) -> Tensor:
    """f32 [count, width], mapped to a file when it is large. Raises TrainingFault (M3I0706)."""
    if 4 * count * width <= IN_MEMORY:
        return torch.empty(count, width)
    with _written(), tempfile.TemporaryFile(prefix="m3ic-features-") as file:
        os.posix_fallocate(file.fileno(), 0, 4 * count * width)  # or a full disk would end the process later
        return torch.from_numpy(np.memmap(file, dtype=np.float32, mode="r+", shape=(count, width)))


@contextmanager
def _written() -> Generator[None]:
    try:
        yield
    except OSError as problem:
        raise cannot_write(f"the features of an evaluation, in `{tempfile.gettempdir()}`,", problem) from problem
