"""Other launchers than `m3ic train --nproc-per-node`: torchrun itself, and the variables of Kubernetes and Slurm."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.distributed.launched import Run, artifact, free_port
from tests.distributed.processes import ONE_WORKER

pytestmark = ONE_WORKER

STEPS = 60

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("launchers")
    artifact(path, STEPS)
    return path


def all_steps(run: Run) -> bool:
    return [line["step"] for line in run.record("step")] == list(range(1, STEPS + 1))


def test_torchrun_starts_processes_again_that_meet_anew(folder: Path) -> None:
    """Its store keeps the addresses of those that are gone."""
    run = Run(folder, "torchrun", "--checkpoint-every", "10 steps", through=TORCHRUN)
    run.until_saved()
    os.kill(run.ranks()[-1], signal.SIGKILL)
    code, output = run.ended()
    assert (code, output) == (0, "torchrun\n"), run.told()
    starts = run.record("start")
    assert [line["restarts"] for line in starts] == [0, 1] and starts[1]["step"] >= 10
    assert all_steps(run)


def test_a_pod_that_loses_another_one_ends_by_itself(folder: Path) -> None:
    """One process each, without torchrun: the variables of a PyTorchJob."""
    port = free_port()
    master, worker = (
        Run(
            folder,
            "pods",
            variables={"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
            label=rank,
        )
        for rank in "01"
    )
    master.until_step(5)
    worker.send(signal.SIGKILL)
    assert worker.ended()[0] == -signal.SIGKILL
    assert master.ended() == (1, ""), master.told()
    assert "error[M3I0732]: rank 0 has lost another process while" in master.told()
    assert "Traceback" not in master.told()
