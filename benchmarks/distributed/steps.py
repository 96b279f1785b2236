"""The step of several processes beside steps that exchange less, and beside one process.

Takes: a recipe of benchmarks/speed, the size of a rank's share, the rounds. Gives: `Outcome`s. Guarantees: before any
timing the first losses of every side, averaged over the ranks, are those of one process with the whole batch, and so
are those of one more step, which the exchanged gradients have changed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.distributed.member import Exchange, Member, rows
from benchmarks.distributed.timing import interleaved
from benchmarks.distributed.traffic import Line, traffic
from benchmarks.speed.agreement import same_loss
from benchmarks.speed.compiled import Recipe, compile_recipe, recipe_text
from benchmarks.speed.outcome import Outcome, Target
from benchmarks.speed.size import Size
from m3i_dsl.runtime.distributed.agreement import gathered
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.wrapping import Sharding

TRAINER, NO_GRADIENTS, NOTHING, FSDP = "trainer", "no exchange of gradients", "no exchange at all", "trainer, fsdp"

SIDES: Mapping[str, tuple[Exchange, Sharding]] = {
    TRAINER: ("all", "none"),
    NO_GRADIENTS: ("all but gradients", "none"),
    NOTHING: ("nothing", "none"),
    FSDP: ("all", "fsdp"),
}

LIMIT = 1.25
"""Of the step beside the one that exchanges nothing, on a machine that does nothing else."""


@dataclass(frozen=True, slots=True)
class Found:
    """Times, and what was sent in a step by the way of sharding."""

    outcome: Outcome
    traffic: Mapping[str, tuple[Line, ...]]


def synchronisation(processes: Processes, name: str, size: Size, rounds: int) -> Found:
    """What a step waits for the other ranks; every side has the same rows of a rank."""
    recipe = whole(name, size, processes)
    mine = rows(recipe.batch)
    members = {side: Member(recipe.executable, mine, processes, *how) for side, how in SIDES.items()}
    expected = first_losses(recipe, processes)
    for side, member in members.items():
        if side == NOTHING:  # it knows its own rows only
            same_losses(processes, side, member, first_losses(replace(recipe, batch=mine), processes, 1), own=True)
        elif side == NO_GRADIENTS:  # its second step starts from weights of its own
            same_losses(processes, side, member, expected[:1])
        else:
            same_losses(processes, side, member, expected)
    with ExitStack() as stack:
        for side in (TRAINER, FSDP):
            stack.enter_context(members[side].watchdog)
        members[TRAINER].asking, before = 0.0, members[TRAINER].done
        times = interleaved(processes, members, rounds=rounds)
    asking = max(gathered(processes, members[TRAINER].asking / (members[TRAINER].done - before)))
    used = {side: max(gathered(processes, statistics.median(m.processor[-rounds:]))) for side, m in members.items()}
    extra = {side: {"processor, ms": f"{1e3 * seconds:.1f}"} for side, seconds in used.items()}
    outcome = Outcome(name, TRAINER, times, extra)
    ratios = {side: 1 / outcome.faster(side) for side in times}
    target = Target(f"{name}: step over one without exchange", LIMIT, "at most", ratios[NOTHING], "least times")
    medians = times[TRAINER].median / times[NOTHING].median
    notes = (
        f"The step takes {ratios[NOTHING]:.3f} times as long as one that exchanges nothing ({medians:.3f} of medians), "
        f"{ratios[NO_GRADIENTS]:.3f} times as long as one that exchanges all but gradients, and "
        f"{used[TRAINER] / used[NOTHING]:.3f} times the processor time of the former. "
        f"Hosts spend {1e3 * asking:.2f} ms of it in their vote.",
    )
    sent: dict[str, tuple[Line, ...]] = {
        "ddp": traffic(members[TRAINER], recipe.executable, processes, "none"),
        "fsdp": traffic(members[FSDP], recipe.executable, processes, "fsdp"),
    }
    return Found(replace(outcome, targets=(target,), notes=notes), sent)


def scaling(processes: Processes, name: str, size: Size, rounds: int) -> Outcome:
    """The same global batch on all processes and on one, of one thread and of as many threads as there are ranks."""
    recipe = whole(name, size, processes)
    together = Member(recipe.executable, rows(recipe.batch), processes)
    alone_ = Member(recipe.executable, recipe.batch, processes, "nothing")
    sides: dict[str, Callable[[], object]] = {f"{processes.size} processes": together}
    expected = first_losses(recipe, processes)
    for side, member in ((f"{processes.size} processes", together), ("one process", alone_)):
        same_losses(processes, side, member, expected)
    sides["one process"] = lambda: _on_first(processes, alone_)
    if processes.device.type == "cpu":
        threads = processes.size * torch.get_num_threads()
        sides[f"one process of {threads} threads"] = lambda: _on_first(processes, alone_, threads)
    times = interleaved(processes, sides, rounds=rounds)
    batch = recipe.executable.program.training.batch
    extra = {side: {"samples/s": f"{batch / timed.minimum:.1f}"} for side, timed in times.items()}
    return Outcome(f"{name}, {batch} samples", f"{processes.size} processes", times, extra)


def whole(name: str, size: Size, processes: Processes) -> Recipe:
    """The recipe for the global batch, of which each rank has `size.batch`."""
    return compile_recipe(recipe_text(name), replace(size, batch=size.batch * processes.size))


def first_losses(recipe: Recipe, processes: Processes, steps: int = 2) -> list[Tensor]:
    """Those of so many steps of one process on all of the recipe's batch."""
    alone_ = Member(recipe.executable, recipe.batch, processes, "nothing")
    return [alone_() for _ in range(steps)]


def same_losses(
    processes: Processes, side: str, member: Callable[[], Tensor], expected: list[Tensor], *, own: bool = False
) -> None:
    """Makes as many steps. Raises Disagreement unless their losses, means over ranks unless `own`, are those."""
    for loss in expected:
        mine = float(member())
        found = mine if own else sum(gathered(processes, mine)) / processes.size
        same_loss(side, torch.tensor(found), loss)


def _on_first(processes: Processes, member: Callable[[], object], threads: int | None = None) -> None:
    """Other ranks leave the machine to the first one."""
    if not processes.first:
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        member()
    finally:
        torch.set_num_threads(before)
