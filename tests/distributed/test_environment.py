"""Which process this is, read off the variables of launchers; what is refused before any process is met."""

from __future__ import annotations

import pytest
import torch

from m3i_dsl.cli.main import main
from m3i_dsl.runtime.distributed.environment import ProcessPlace, place
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.wrapping import device_mesh
from m3i_dsl.runtime.faults import TrainingFault

MASTER = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
POD = {"RANK": "1", "WORLD_SIZE": "4", **MASTER}
SLURM = {
    "SLURM_STEP_NUM_TASKS": "12",
    "SLURM_PROCID": "9",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "8(x1),4",
    **MASTER,
}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (MASTER, None),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),
        (POD, ProcessPlace(1, 4, 0, 1)),
        (
            {**POD, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RESTART_COUNT": "3"},
            ProcessPlace(1, 4, 1, 2, restart=3),
        ),
        ({**POD, "TORCHELASTIC_MAX_RESTARTS": "2"}, ProcessPlace(1, 4, 0, 1, may_restart=True)),
        (SLURM, ProcessPlace(9, 12, 1, 8)),
        ({**SLURM, **POD}, ProcessPlace(1, 4, 0, 1)),
    ],
)
def test_a_process_knows_its_place(environment: dict[str, str], expected: ProcessPlace | None) -> None:
    assert place(environment) == expected


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": "0"}, "`WORLD_SIZE` is missing, not a whole number"),
        ({"WORLD_SIZE": "2", **MASTER}, "`RANK` is missing, not a whole number"),
        ({**POD, "RANK": "-1"}, "`RANK` is `-1`, not a whole number"),
        ({**POD, "RANK": "4"}, "there is no process 4 among 4"),
        ({**POD, "MASTER_PORT": ""}, "process 1 of 4 does not know `MASTER_PORT`"),
        ({**SLURM, "SLURM_LOCALID": "one"}, "`SLURM_LOCALID` is `one`, not a whole number"),
    ],
)
def test_an_incomplete_environment_is_a_fault_that_names_the_variable(environment: dict[str, str], said: str) -> None:
    with pytest.raises(TrainingFault) as caught:
        place(environment)
    assert caught.value.code == "M3I0730"
    assert caught.value.message == f"the environment of this process is incomplete: {said}"


@pytest.mark.parametrize(
    ("processes", "sharding", "said"),
    [
        (Processes(torch.device("cpu")), "fsdp", "`--shard fsdp` needs more than one process"),
        (Processes(torch.device("cpu"), size=4, local_size=4), "hsdp", "4 processes of 4 a machine"),
        (Processes(torch.device("cpu"), size=6, local_size=4), "hsdp", "6 processes of 4 a machine"),
    ],
)
def test_processes_that_cannot_be_sharded_so(processes: Processes, sharding: str, said: str) -> None:
    with pytest.raises(TrainingFault) as caught:
        device_mesh(processes, sharding)
    assert caught.value.code == "M3I0730" and said in caught.value.message


def test_a_run_that_is_queued_again_needs_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--device", "cpu", "--requeue"]) == 1
    assert (
        "error[M3I0730]: a run that may be started again needs a folder that it finds again" in capsys.readouterr().err
    )
