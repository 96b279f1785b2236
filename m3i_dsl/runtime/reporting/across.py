"""Numbers and messages of all ranks, brought together when something is logged.

Takes: what one rank has measured and has to say. Gives: the numbers of every rank, and the messages with the rank that
sent each. Guarantees: hosts exchange over the control group, so no device is waited for; one exchange a log, two when
a rank has a message; with one process nothing is exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist


class Peers(Protocol):
    """What reporting needs to know of the processes of a run: `runtime.distributed.group.Processes` has it."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def restart(self) -> int:
        """How often torchrun's agent has started the processes again."""
        ...

    @property
    def control(self) -> dist.ProcessGroup | None:
        """The group over which hosts agree; None with one process."""
        ...


@dataclass(frozen=True, slots=True)
class Alone:
    """A run of one process."""

    rank: int = 0
    size: int = 1
    restart: int = 0
    control: dist.ProcessGroup | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """`values[name]` has one number a rank, in rank order; `messages` are (rank, text) in rank order."""

    values: Mapping[str, Sequence[float]]
    messages: Sequence[tuple[int, str]]

    def mean(self, name: str) -> float:
        return sum(self.values[name]) / len(self.values[name])

    def largest(self, name: str) -> float:
        return max(self.values[name])

    def rank_of_largest(self, name: str) -> int:
        numbers = self.values[name]
        return max(range(len(numbers)), key=lambda rank: numbers[rank])


def gathered(own: Mapping[str, float], messages: Sequence[str], peers: Peers) -> Gathered:
    """Every rank calls this with the same names; order does not matter."""
    if peers.control is None:
        return Gathered({name: (value,) for name, value in own.items()}, [(peers.rank, text) for text in messages])
    names = sorted(own)
    packed = "\0".join(messages).encode("utf-8")
    row = torch.tensor([*(own[name] for name in names), float(len(packed))], dtype=torch.float64)
    rows = _all(row, peers)
    lengths = [int(numbers[-1]) for numbers in rows]
    table = {name: [float(numbers[place]) for numbers in rows] for place, name in enumerate(names)}
    if not any(lengths):
        return Gathered(table, ())
    padded = torch.zeros(max(lengths), dtype=torch.uint8)
    padded[: len(packed)] = torch.tensor(list(packed), dtype=torch.uint8)
    sent: list[tuple[int, str]] = []
    for rank, (length, content) in enumerate(zip(lengths, _all(padded, peers), strict=True)):
        if length:
            text = bytes(content[:length].tolist()).decode("utf-8")
            sent += [(rank, message) for message in text.split("\0")]
    return Gathered(table, sent)


def _all(own: torch.Tensor, peers: Peers) -> list[torch.Tensor]:
    rows = [torch.empty_like(own) for _ in range(peers.size)]
    dist.all_gather(rows, own, group=peers.control)
    return rows
