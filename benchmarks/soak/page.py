"""The page of a soak: what happened, what it cost, and whether the ends are equal.

Takes: what was found. Gives: Markdown. Guarantees: numbers that were measured, with the command and the versions.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.soak.disturbances import Cost, Happened
from benchmarks.speed.machine import machine, versions

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Grown:
    """A rank took `peak` bytes at most and grew by `growth` over its last `steps`; `noise` + `leak` a step may pass."""

    peak: int
    growth: float
    steps: int
    noise: int
    leak: float

    @property
    def flat(self) -> bool:
        return self.growth <= self.noise + self.leak * self.steps


@dataclass(frozen=True, slots=True)
class Found:
    """What the page is about. `memory` is by rank of the run that was left alone; `peaks` are bytes of
    each process that computed in the disturbed one.
    """

    command: str
    processes: int
    minutes: float
    last: int
    kept: int
    tensors: int
    lines: int
    costs: Sequence[tuple[Happened, Cost | None]]
    memory: Mapping[str, Grown]
    peaks: Sequence[int]
    failures: Sequence[str]


def page(found: Found) -> str:
    """All of it."""
    return "\n".join([*_head(found), "", *_disturbances(found), "", *_ends(found), "", *_memory(found)]) + "\n"


def _head(found: Found) -> list[str]:
    return [
        "# Soak",
        "",
        "A training on several processes that is disturbed at random for a while, beside the same training left alone:",
        "the last checkpoints are compared bit by bit, the records line by line. Written by the command below; do not",
        "edit.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine()}; {versions()}.",
        "",
        "```sh",
        found.command,
        "```",
        "",
        f"Recipe: `benchmarks/soak/recipe.m3i` on {found.processes} processes, a checkpoint every {found.kept} steps,",
        f"0, 1 or 2 data workers a rank by chance at each start; {found.minutes:g} minutes of disturbances.",
        "Where data is damaged, the run says so and goes on without what is broken, or ends with a coded error;",
        "then it goes back to its last checkpoint before that.",
    ]


def _disturbances(found: Found) -> list[str]:
    lines = [
        "| disturbance | times | before training went on again | steps computed again | seconds until it goes on |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind in dict.fromkeys(one.kind for one, _ in found.costs):
        costs = [cost for one, cost in found.costs if one.kind == kind]
        known = [cost for cost in costs if cost is not None]
        steps = f"{statistics.median(cost.steps for cost in known):.0f}" if known else "-"
        seconds = f"{statistics.median(cost.seconds for cost in known):.0f}" if known else "-"
        lines.append(f"| {kind} | {len(costs)} | {len(costs) - len(known)} | {steps} | {seconds} |")
    lines += [
        "",
        "Steps and seconds are medians, on a machine that others used as well. A disturbance of the third column was",
        "followed by another one before training had gone on, which struck while processes started, met each other or",
        "read a checkpoint; what both cost is counted for the second one.",
    ]
    return lines


def _ends(found: Found) -> list[str]:
    verdict = "equal" if not found.failures else "NOT as it should be"
    return [
        f"**{verdict}**: {found.tensors} tensors, the optimizer's settings and random numbers after step {found.last};",
        f"losses, weights, gradient norms, monitors and results of {found.lines} lines of the record.",
        *(f"- {failure}" for failure in found.failures),
    ]


def _memory(found: Found) -> list[str]:
    lines = [
        "| rank, left alone | most memory | growth over the last steps | that is a step | let pass |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for rank, one in found.memory.items():
        growth = f"{one.growth / 1024:.0f} KiB over {one.steps}"
        step = f"{one.growth / max(1, one.steps):.0f} bytes"
        allowed = f"{one.noise / MIB:.0f} MiB and {one.leak:.0f} bytes a step"
        lines.append(f"| {rank} | {one.peak / MIB:.0f} MiB | {growth} | {step} | {allowed} |")
    lines += [
        "",
        "Growth is the median slope between all pairs of samples (Theil-Sen) in the second half of the run.",
        f"The {len(found.peaks)} processes that computed in the disturbed run took {min(found.peaks) / MIB:.0f} to",
        f"{max(found.peaks) / MIB:.0f} MiB each, with what they share.",
    ]
    return lines
