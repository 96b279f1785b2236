"""The benchmarks of several processes: equal sides before any timing, bytes, the page. Nothing here looks at a time."""

from dataclasses import dataclass, replace

import pytest
import torch
import torch.distributed as dist

from benchmarks.distributed.__main__ import CASES, main
from benchmarks.distributed.member import Member, rows
from benchmarks.distributed.page import page
from benchmarks.distributed.steps import (
    NOTHING,
    SIDES,
    TRAINER,
    Found,
    first_losses,
    same_losses,
    synchronisation,
    whole,
)
from benchmarks.distributed.timing import slowest
from benchmarks.distributed.traffic import Line
from benchmarks.speed.agreement import Disagreement
from benchmarks.speed.outcome import Outcome, Target
from benchmarks.speed.page import Setting
from benchmarks.speed.size import SIZES
from benchmarks.speed.timing import Timed
from m3i_dsl.plan.exchanges import Sum
from m3i_dsl.runtime.distributed.group import Processes
from tests.distributed.processes import ONE_WORKER, run

TINY = replace(SIZES["tiny"], batch=2, depth=1)


@dataclass(frozen=True)
class Seen:
    found: Found
    disagreement: str
    slowest: tuple[float, ...]


def seen() -> Seen:
    """On one of two processes."""
    processes = Processes(torch.device("cpu"), dist.get_rank(), dist.get_world_size(), control=dist.group.WORLD)
    found = synchronisation(processes, "supervised", TINY, rounds=2)
    recipe = whole("supervised", TINY, processes)
    deaf = Member(recipe.executable, rows(recipe.batch), processes, "nothing")
    try:  # after the first step the weights of a rank that is not told of gradients are others
        same_losses(processes, NOTHING, deaf, first_losses(recipe, processes))
    except Disagreement as problem:
        disagreement = str(problem)
    else:
        disagreement = ""
    times = slowest(processes, {"side": [1.0 + processes.rank, 4.0 - processes.rank]})
    return Seen(found, disagreement, times["side"].seconds)


@ONE_WORKER
def test_two_processes_measure_what_one_computes() -> None:
    for rank in run(seen):
        assert {side: len(timed.seconds) for side, timed in rank.found.outcome.times.items()} == dict.fromkeys(SIDES, 2)
        assert {line.purpose for line in rank.found.traffic["ddp"]} == {"gradients", "statistics"}
        for lines in rank.found.traffic.values():
            assert all(line.observed == line.planned and line.observed.received > 0 for line in lines)
        assert rank.disagreement.startswith(f"{NOTHING}: first loss"), "a side that computes something else"
        assert rank.slowest == (2.0, 4.0)


def test_the_page_has_targets_times_bytes_and_what_failed() -> None:
    times = {TRAINER: Timed((0.012, 0.014)), NOTHING: Timed((0.010, 0.011))}
    target = Target("a recipe: step", 1.25, "at most", 1.2)
    traffic = {"ddp": (Line("gradients", "all-reduce", observed=Sum(2, 1010.0), planned=Sum(1, 1000.0)),)}
    found = Found(Outcome("a recipe", TRAINER, times, targets=(target,), notes=("A note.",)), traffic)
    setting = Setting("2000-01-01", "a machine", "torch 1", "python -m benchmarks.distributed", "tiny", 3, 1)
    text = page([found, Outcome("hosts", "vote", {"vote": Timed((0.001,))})], {"mae": "it failed"}, setting, "2 ranks")
    for line in (
        "2000-01-01; a machine; 2 ranks; torch 1.",
        "| a recipe: step | at most 1.25 | 1.20 | yes |",
        f"| {TRAINER} | 12.00 | 13.00 | 1.000 |",
        "A note.",
        "### hosts",
        "| a recipe | ddp | all-reduce of gradients | 2 | 1 | 1,010 | 1,000 | +1.0% |",
        "- mae: it failed",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("flags", [["--only", "nothing"], ["--processes", "1"]])
def test_what_cannot_be_measured_is_an_error(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flags) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert {"supervised", "mae", "m3i"} < set(CASES)
