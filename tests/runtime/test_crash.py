"""kill -9 at any moment: what is resumed ends with the same bits as what was never interrupted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path, seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.crash", str(tmp_path), str(seed)],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
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
