"""kill -9 at any moment: what is resumed ends with the same bits as what was never interrupted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file


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
