"""What every case is given, and how it times its sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.speed.size import Size
from benchmarks.speed.timing import Timed, interleaved


@dataclass(frozen=True, slots=True)
class Context:
    """`rounds` are those of a step of about half a second; cheaper sides get more of them."""

    size: Size
    rounds: int
    peers: bool
    threads: int

    def timed(self, sides: Mapping[str, Callable[[], object]], *, factor: float = 1.0) -> dict[str, Timed]:
        """Interleaved times; `factor` times the usual number of rounds."""
        return interleaved(sides, rounds=max(2, round(self.rounds * factor)))
