"""The templates for Slurm and Kubernetes, run as they are with two processes here.

Slurm's commands are stand-ins that set the variables of Slurm; the operator's part is to set PET_*. What a scheduler
does with an exit code or a pod is beyond this machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.distributed.launched import ROOT, Run, artifact, free_port
from tests.distributed.processes import ONE_WORKER

pytestmark = ONE_WORKER

STEPS = 60
SBATCH = ROOT / "examples" / "slurm" / "train.sbatch"
PYTORCHJOB = ROOT / "examples" / "kubernetes" / "pytorchjob.yaml"

SRUN = """\
#!/bin/bash
while [[ $1 == --* ]]; do shift; done
tasks=()
trap 'kill -USR1 "${tasks[@]}"' USR1
for number in 0 1; do
  SLURM_PROCID=$number SLURM_LOCALID=$number SLURM_STEP_NUM_TASKS=2 SLURM_STEP_TASKS_PER_NODE=2 "$@" &
  tasks+=($!)
done
echo $$ > srun.pid
highest=0
for task in "${tasks[@]}"; do
  wait "$task"; code=$?
  while ((code == 138)); do wait "$task"; code=$?; done  # the trap, not the task
  ((code > highest)) && highest=$code
done
exit "$highest"
"""

SCONTROL = """\
#!/bin/bash
if [[ $1 == show ]]; then printf '127.0.0.1\\nother\\n'; else echo "$@" >> requeued; fi
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("templates")
    artifact(path, STEPS)
    commands = {
        "srun": SRUN,
        "scontrol": SCONTROL,
        "m3ic": f'#!/bin/bash\nexec {sys.executable} -m m3i_dsl.cli.main "$@"\n',
        "torchrun": f'#!/bin/bash\nexec {sys.executable} -m torch.distributed.run "$@"\n',
    }
    for name, text in commands.items():
        place = path / "bin" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
        place.chmod(0o755)
    return path


def path_with(folder: Path) -> str:
    return f"{folder / 'bin'}:{os.environ['PATH']}"


def all_steps(run: Run) -> bool:
    return [line["step"] for line in run.record("step")] == list(range(1, STEPS + 1))


def test_slurm_queues_a_run_again_that_was_stopped_and_not_one_that_is_trained(folder: Path) -> None:
    subprocess.run(["bash", "-n", SBATCH], check=True)
    options = [line for line in SBATCH.read_text().splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH --signal=USR1@300", "#SBATCH --requeue", "#SBATCH --open-mode=append"} <= set(options)

    job = int(free_port(range(20000, 40000))) - 20000
    variables = {
        "PATH": path_with(folder),
        "SLURM_JOB_ID": str(job),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "2",
    }
    flags = ("--device", "cpu", "--log-every", "1", "--log-to", "none", "--checkpoint-every", "50 steps")
    command = ("bash", str(SBATCH), "target/small", "slurm", *flags)

    def submitted() -> Run:
        return Run(folder, "slurm", command=command, variables=variables)

    run = submitted()
    run.until_step(5)
    os.kill(int((folder / "srun.pid").read_text()), signal.SIGUSR1)
    assert run.ended() == (75, "slurm\n"), run.told()
    assert (folder / "requeued").read_text() == f"requeue {job}\n"
    reached = run.step()
    assert 5 <= reached < STEPS and "stopped by SIGUSR1" in run.told()

    run = submitted()
    assert run.ended() == (0, "slurm\n"), run.told()
    assert [line["step"] for line in run.record("start")] == [0, reached]
    assert all_steps(run)
    assert (folder / "requeued").read_text() == f"requeue {job}\n"


def test_pods_of_a_pytorchjob_meet_and_start_again_together(folder: Path) -> None:
    """Two agents of torchrun with a process each; one process is killed."""
    job: dict[str, Any] = yaml.safe_load(PYTORCHJOB.read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    worker = job["spec"]["pytorchReplicaSpecs"]["Worker"]
    policy = job["spec"]["elasticPolicy"]
    assert policy["minReplicas"] == policy["maxReplicas"] == worker["replicas"] == 2
    pod = worker["template"]["spec"]
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    named = {"/shared/target/NAME": "target/small", "--run=/shared/runs/NAME-1": "--run=pods", "--workers=10": ""}
    words = [named.get(word, word) for word in (*container["command"], *container["args"])]
    assert set(named.values()) <= set(words)
    flags = ("--device", "cpu", "--log-every", "1", "--log-to", "none", "--checkpoint-every", "10 steps")
    variables = {
        "PATH": path_with(folder),
        "PET_NPROC_PER_NODE": "1",
        "PET_NNODES": f"{policy['minReplicas']}:{policy['maxReplicas']}",
        "PET_MAX_RESTARTS": str(policy["maxRestarts"]),
        "PET_RDZV_BACKEND": policy["rdzvBackend"],
        "PET_RDZV_ENDPOINT": f"localhost:{free_port()}",
        "PET_RDZV_ID": "m3ic",
    }
    command = [*filter(None, words), *flags]
    pods = [Run(folder, "pods", command=command, variables=variables, label=f"-{number}") for number in (0, 1)]
    pods[0].until_saved()
    (process,) = pods[1].ranks()
    os.kill(process, signal.SIGKILL)
    ends = [pod.ended() for pod in pods]
    assert sorted(ends) == [(0, ""), (0, "pods\n")], [pod.told() for pod in pods]
    assert len(pods[0].record("start")) == 2 and pods[0].record("start")[-1]["step"] >= 10
    assert all_steps(pods[0])
