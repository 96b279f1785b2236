"""kill -9 at any moment: what is resumed ends with the same bits as what was never interrupted."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from m3i_dsl.runtime.run_folder import RunFolder
from m3i_dsl.vocabulary.kinds import Measure, Score
from m3i_dsl.vocabulary.values import Duration
from tests.runtime.crash import in_child
from tests.runtime.tiny import TinyGraph, create, tiny_graph, trainer


def crash(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.runtime.crash", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_save_that_is_killed_at_any_of_its_phases_loses_nothing(tmp_path: Path) -> None:
    done = crash("save", str(tmp_path))
    assert done.returncode == 0, done.stderr
    killed_at = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    found = [step for _, step in killed_at]
    assert found == sorted(found), "from the renaming on, it is the new one"
    before = " ".join(phase for phase, step in killed_at if step == "20")
    after = " ".join(phase for phase, step in killed_at if step == "30")
    for name in (
        "os.mkdir step-000030.tmp",
        "shard-00001-",
        "state.json",
        "manifest.json",
        "os.rename step-000030.tmp",
    ):
        assert name in before
    for name in ("open latest.tmp", "os.rename latest.tmp", "os.rename step-000010", "os.rmdir step-000010.tmp"):
        assert name in after


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path, seed: int) -> None:
    done = crash("train", str(tmp_path), str(seed))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3
    name = (tmp_path / "whole/checkpoints/latest").read_text().strip()
    for file in sorted(path.name for path in (tmp_path / "whole/checkpoints" / name).glob("*.safetensors")):
        whole, killed = (load_file(tmp_path / run / "checkpoints" / name / file) for run in ("whole", "killed"))
        assert whole.keys() == killed.keys()
        assert all(torch.equal(whole[key], killed[key]) for key in whole)
    records = [
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("whole", "killed")
    ]
    steps = [[(r["step"], r["loss"]) for r in run if r["event"] == "step"] for run in records]
    assert steps[0] == steps[1]
    starts = sum(record["event"] == "start" for record in records[1])
    assert 3 <= starts <= int(done.stdout) + 1, "starts are kept, whatever checkpoint the next one goes on from"
    states = [
        json.loads((tmp_path / run / "checkpoints" / name / "state.json").read_text()) for run in ("whole", "killed")
    ]
    for state in states:
        del state["plain"]["metrics_bytes"]  # a start is a line of its own
    assert states[0] == states[1]


@pytest.mark.parametrize("fatal", [8, 20], ids=["between checkpoints", "behind the last step"])
def test_an_evaluation_that_is_killed_is_made_on_resuming(tmp_path: Path, fatal: int) -> None:
    def measure(step: int) -> dict[str, Score]:
        if step == fatal and "killed" in doing:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"steps": Score(float(step), Measure("steps"))}

    def train(name: str, *, resume: bool = False) -> TinyGraph:
        doing[:] = [name]
        graph, every = tiny_graph(), Duration(3, "steps")
        with RunFolder.open(tmp_path / name) if resume else create(tmp_path / name) as run:
            callbacks = [(Duration(4, "steps"), measure)]
            trainer(run, graph, checkpoint_every=every, callbacks=callbacks).run(resume=resume)
        return graph

    def evaluated(name: str) -> list[int]:
        with (tmp_path / name / "metrics.jsonl").open() as file:
            return [line["step"] for line in map(json.loads, file) if line["event"] == "evaluation"]

    doing: list[str] = []
    whole = train("whole")
    assert in_child(lambda: train("killed"))
    assert evaluated("killed") == [step for step in evaluated("whole") if step < fatal]
    os.rename(tmp_path / "killed", tmp_path / "again")
    again = train("again", resume=True)
    assert evaluated("again") == evaluated("whole") == [4, 8, 12, 16, 20]
    expected, found = whole.module.state_dict(), again.module.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("again", "whole")]
    assert summaries[0] == summaries[1]
