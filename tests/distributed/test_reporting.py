"""One report for all ranks."""

from __future__ import annotations

import io
import json
import warnings
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.interfaces import Plan
from m3i_dsl.runtime.reporting.across import brought_together
from m3i_dsl.runtime.reporting.reporter import Measured, Reporter
from m3i_dsl.runtime.reporting.settings import Reporting
from m3i_dsl.runtime.run_folder import RunFolder
from tests.distributed.processes import ONE_WORKER, run
from tests.runtime.tiny import IDENTITY

pytestmark = ONE_WORKER

CPU = torch.device("cpu")


def _reported(folder: str) -> tuple[str, bool]:
    """What this rank shows, and whether it has a record, of two logged steps."""
    rank = dist.get_rank()
    processes = Processes(CPU, rank, dist.get_world_size(), restart=1, control=dist.group.WORLD)
    shown = io.StringIO()
    run_folder = RunFolder(Path(folder), IDENTITY)
    with redirect_stderr(shown):
        reporter = Reporter(run_folder, Reporting(sinks=(), seconds=0.0), processes, CPU, 8)
        with reporter:
            reporter.start(Plan("tiny", 0, 4, 4, 2, 8, ("a",), 2, "CPU", 1), keep=0, configuration={})
            reporter.say("for all ranks")
            reporter.say_here(f"a broken sample, seen by {rank}")
            if rank:
                warnings.warn("of a library\nsaid once", UserWarning, stacklevel=1)
                reporter.say_here("UserWarning: of a library said once")
            reporter.warn_here(Notice("M3I0710", f"something of {rank}", helps=("act",)))
            for step in (2, 4):
                values = {"loss": 1.0 + rank, "losses/a": step + 2.0 * rank, "gradient_norm": 3.0}
                reporter.step(Measured(step, values, 0.1, (), broken_samples=1 + rank))
            reporter.end(4, "finished", "all steps and evaluations")
            position = reporter.position()
    return shown.getvalue(), position > 0


def test_rank_0_speaks_for_all(tmp_path: Path) -> None:
    (first, has_record), (second, has_another) = run(_reported, str(tmp_path))
    assert (second, has_record, has_another) == ("", True, False)
    lines = first.splitlines()
    assert lines[0] == "training tiny: 4 steps of 8 (2 epochs) on 2 x CPU, restarted once"
    assert lines[1] == "for all ranks" and lines[2] == "a broken sample, seen by 0"
    assert lines[3] == "warning[M3I0710]: something of 0"
    assert "step 2/4  epoch 1.0  loss 1.5  a 3  lr" in first and "step 4/4  epoch 2.0  loss 1.5  a 5  lr" in first
    assert first.count("rank 1: a broken sample, seen by 1") == 1
    assert first.count("rank 1: UserWarning: of a library said once") == 1
    assert first.count("warning[M3I0710]: rank 1: something of 1\n  = help: act\n") == 1

    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [record for record in records if record["event"] == "step"]
    assert [(record["loss"], record["losses"], record["broken_samples"]) for record in steps] == [
        (1.5, {"a": 3.0}, 3),
        (1.5, {"a": 5.0}, 3),
    ]
    assert (records[0]["world_size"], records[0]["restarts"]) == (2, 1)
    warned = [(record["rank"], record["message"]) for record in records if record["event"] == "warning"]
    assert warned == [(0, "something of 0"), (1, "something of 1")]


def _table() -> tuple[Any, Any, int]:
    rank = dist.get_rank()
    processes = Processes(CPU, rank, dist.get_world_size(), control=dist.group.WORLD)
    own = {"wait": 0.25 * rank, "loss": 10.0**rank}
    own = own if rank else dict(reversed(own.items()))  # the order of names is no part of the exchange
    table = brought_together(own, ["\u00e4" * (rank + 1)] if rank else [], processes)
    return dict(table.values), table.messages, table.rank_of_largest("wait")


def test_every_rank_has_the_numbers_and_messages_of_all() -> None:
    expected = {"loss": [1.0, 10.0], "wait": [0.0, 0.25]}, [(1, "\u00e4\u00e4")], 1
    assert run(_table) == [expected, expected]
