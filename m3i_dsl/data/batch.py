"""The batch of a step.

Takes: nothing. Gives: `Batch`, a mapping from the graph's placeholders to tensors with the samples it is made of, and
the record of broken samples. Guarantees: every tensor has the batch as its first dimension.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from m3i_dsl.source.printable import one_line


@dataclass(frozen=True, slots=True)
class Broken:
    """A sample that was skipped: `name` is what it can be looked up by in the source of `data`."""

    data: str
    name: str
    reason: str

    def __str__(self) -> str:
        return one_line(f"{self.name}: {self.reason}")


@dataclass(frozen=True, eq=False)
class Batch(Mapping[str, Tensor]):
    """What the graph is given at `step`, by placeholder; as a mapping it is its `inputs`.

    `samples` int64 [B] are the samples in the batch, of the largest data that is used, in row order (a broken one is
    already replaced); those of a mixture are numbered on from source to source. `wait` is the seconds that were spent
    waiting for decoded data; `broken` what was skipped on the way.
    """

    step: int
    epoch: int
    samples: NDArray[np.int64]
    inputs: dict[str, Tensor]
    wait: float = 0.0
    broken: tuple[Broken, ...] = ()

    def __getitem__(self, name: str) -> Tensor:
        return self.inputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.inputs)

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(slots=True)
class BrokenLog:
    """All broken samples met so far, each counted once; the first ones kept by name."""

    keep: int = 20
    first: list[Broken] = field(default_factory=list[Broken])
    _known: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    @property
    def count(self) -> int:
        return len(self._known)

    def add(self, broken: Broken) -> bool:
        """Whether it was new."""
        if (broken.data, broken.name) in self._known:
            return False
        self._known.add((broken.data, broken.name))
        if len(self.first) < self.keep:
            self.first.append(broken)
        return True
