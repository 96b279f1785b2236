"""Which rows of a batch are of which source of a mixture.

Takes: the sources with their shares of a batch. Gives: `Pattern`: a run of rows for each source, repeated over the
batch. Guarantees: a pure function of the shares; every whole period has the shares exactly, so every slice of whole
periods has them too, whichever process or worker makes it; runs are whole pairs, so that rows 2k and 2k + 1, which a
mix puts together, are of one source, and a recipe sees the same samples with and without a mix.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

PAIR = 2
"""Rows that are of one source: a mix pairs neighbours."""


@dataclass(frozen=True, slots=True)
class Run:
    """`rows` neighbouring rows of `source`, from row `first` of each period on."""

    source: str
    first: int
    rows: int

    @property
    def end(self) -> int:
        return self.first + self.rows


@dataclass(frozen=True, slots=True)
class Pattern:
    """One run for each source, in the order of the mixture. A batch is a whole number of periods."""

    runs: tuple[Run, ...]

    @classmethod
    def of(cls, shares: Mapping[str, Fraction]) -> Pattern:
        """The shortest pattern with these shares, which sum to 1."""
        parts = math.lcm(*(share.denominator for share in shares.values()))
        runs: list[Run] = []
        for source, share in shares.items():
            rows = PAIR * int(share * parts)
            runs.append(Run(source, runs[-1].end if runs else 0, rows))
        return cls(tuple(runs))

    @property
    def period(self) -> int:
        """Rows after which the pattern begins anew."""
        return self.runs[-1].end

    def share(self, sources: Collection[str]) -> Fraction:
        """The share of a batch that is of some of the sources."""
        return Fraction(sum(run.rows for run in self.runs if run.source in sources), self.period)

    def chosen(self, sources: Collection[str]) -> tuple[tuple[int, int], ...]:
        """The rows (first, end) of a period that are of `sources`, neighbouring runs as one."""
        found: list[tuple[int, int]] = []
        for run in self.runs:
            if run.source in sources:
                if found and found[-1][1] == run.first:
                    found[-1] = (found[-1][0], run.end)
                else:
                    found.append((run.first, run.end))
        return tuple(found)

    def own(self, source: str, row: int) -> int:
        """How many of the first `row` rows of a batch are of `source`: where its own rows are at that row."""
        run = next(run for run in self.runs if run.source == source)
        periods, place = divmod(row, self.period)
        return periods * run.rows + min(max(place - run.first, 0), run.rows)


def nearest_shares(shares: Mapping[str, Fraction], parts: int) -> dict[str, int] | None:
    """Whole numbers that sum to `parts` and come closest to `shares`, each at least 1; None with fewer parts than that.

    By largest remainders.
    """
    if parts < len(shares):
        return None
    floors = {name: max(1, math.floor(share * parts)) for name, share in shares.items()}
    by_need = sorted(shares, key=lambda name: shares[name] * parts - floors[name], reverse=True)
    left = parts - sum(floors.values())
    for name in by_need[: max(0, left)]:
        floors[name] += 1
    while sum(floors.values()) > parts:
        floors[max(floors, key=lambda name: floors[name])] -= 1
    return floors


def fitting_parts(batch: int) -> Iterator[int]:
    """The numbers of equal parts, from few to many, into which the pairs of a batch divide."""
    pairs = batch // PAIR if batch % PAIR == 0 else 0
    return (parts for parts in range(1, pairs + 1) if pairs % parts == 0)
