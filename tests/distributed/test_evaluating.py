"""What befalls a rank inside an evaluation: the others end with a code, in time, and the run goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from m3i_dsl import driver
from m3i_dsl.source import read_file
from tests.distributed.launched import Run, small
from tests.distributed.processes import ONE_WORKER
from tests.distributed.test_stops import injected

pytestmark = ONE_WORKER

WAITING = """\
import pathlib
import time
import m3i_dsl.runtime.distributed.watchdog as watchdog
from m3i_dsl.vocabulary.evaluators.knn import Knn

watchdog.LONG = 2
measure = Knn.measure

def waiting(self, subject, splits):
    place = pathlib.Path(os.environ["EVALUATING"])
    if os.environ.get("RANK", "0") == "0" and not place.exists():
        place.write_text("")
        time.sleep(600)
    return measure(self, subject, splits)

Knn.measure = waiting
"""
"""The first evaluation hangs, the later ones do not; LONG of a short timeout are seconds."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evaluating")
    text = small(batch=8, length="steps 4") + "evaluate {\n  knn(k: 5) every 2 steps\n}\n"
    (path / "small.m3i").write_text(text)
    checked = driver.check_file(read_file(path / "small.m3i"))
    compiled = driver.compile_program(checked.required(), path)
    driver.write_artifact(path / "target" / "small", compiled, checked, {})
    return path


def started(folder: Path, name: str, *flags: str) -> tuple[Run, Path]:
    """A run that hangs in its first evaluation, and the file that says that it does."""
    place = folder / f"{name}.evaluating"
    variables = {**injected(folder, f"{name}-waiting", WAITING, "0"), "EVALUATING": str(place)}
    return Run(folder, name, "--checkpoint-every", "1 steps", *flags, variables=variables), place


def evaluated(run: Run) -> list[int]:
    return [line["step"] for line in run.record("evaluation")]


@pytest.mark.parametrize(
    "rank",
    [
        pytest.param(0, id="the one that evaluates"),
        pytest.param(1, id="the one that waits", marks=pytest.mark.slow),
    ],
)
def test_two_processes_go_on_when_one_is_killed_in_an_evaluation(folder: Path, rank: int) -> None:
    run, place = started(folder, f"killed-{rank}", "--nproc-per-node", "2", "--max-restarts", "1")
    run.until(place.exists)
    os.kill(run.ranks()[rank], signal.SIGKILL)
    assert run.ended()[0] == 0, run.told()
    assert f"error[M3I0732]: rank {1 - rank} has lost another process while evaluating after step 2" in run.told()
    assert "it has ended or was killed" in run.told() and "restarted once" in run.told()
    assert "gloo" not in run.told(), "what torch says is said in words of ours"
    assert "Traceback" not in run.told() and "M3I09" not in run.told()
    assert evaluated(run) == [2, 4]


def test_a_rank_that_hangs_while_it_evaluates_ends_in_a_message(folder: Path) -> None:
    run, place = started(folder, "hung", "--nproc-per-node", "2", "--max-restarts", "0", "--timeout", "2")
    run.until(place.exists)
    assert run.ended() == (1, "")
    assert "error[M3I0732]: nothing has happened for" in run.told()
    assert "rank 0 was evaluating after step 2" in run.told() and "Traceback" not in run.told()
