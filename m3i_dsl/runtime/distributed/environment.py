"""Where this process stands among those of a run.

Takes: the environment variables of torchrun (RANK, WORLD_SIZE, LOCAL_RANK), of Kubernetes' PyTorchJob (the same names,
one process a pod) or of `srun` (SLURM_PROCID and its kind). Gives: a `ProcessPlace`, or None for a run of one process.
Guarantees: half an environment is a fault that names what is missing, never a guess.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from m3i_dsl.runtime.faults import LAUNCH, TrainingFault


@dataclass(frozen=True, slots=True)
class ProcessPlace:
    """`rank` of `size` processes, `local_rank` of `local_size` on this machine.

    `restart` counts how often torchrun's agent has started the processes again; with `may_restart` it will do so.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    restart: int = 0
    may_restart: bool = False


def place(environment: Mapping[str, str] | None = None) -> ProcessPlace | None:
    """Raises TrainingFault (M3I0730) for variables that are missing or no whole numbers."""
    known = os.environ if environment is None else environment
    if "RANK" in known or "WORLD_SIZE" in known:
        rank, size = _number(known, "RANK"), _number(known, "WORLD_SIZE")
        local_rank = _number(known, "LOCAL_RANK", 0)
        local_size = _number(known, "LOCAL_WORLD_SIZE", 1)
    elif "SLURM_STEP_NUM_TASKS" in known and _number(known, "SLURM_STEP_NUM_TASKS") > 1:
        rank, size = _number(known, "SLURM_PROCID"), _number(known, "SLURM_STEP_NUM_TASKS")
        local_rank = _number(known, "SLURM_LOCALID")
        local_size = _first_number(known.get("SLURM_STEP_TASKS_PER_NODE", "1"))
    else:
        return None
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if not known.get(name):
            raise _incomplete(f"process {rank} of {size} does not know `{name}`")
    if not 0 <= rank < size:
        raise _incomplete(f"there is no process {rank} among {size}")
    return ProcessPlace(
        rank,
        size,
        local_rank,
        local_size,
        restart=_number(known, "TORCHELASTIC_RESTART_COUNT", 0),
        may_restart=_number(known, "TORCHELASTIC_MAX_RESTARTS", 0) > 0,
    )


def _number(known: Mapping[str, str], name: str, default: int | None = None) -> int:
    value = known.get(name)
    if value is None and default is not None:
        return default
    if value is None or not value.isdecimal():
        raise _incomplete(f"`{name}` is {'missing' if value is None else f'`{value}`'}, not a whole number")
    return int(value)


def _first_number(text: str) -> int:
    """Slurm writes `8(x4)` for eight tasks on each of four nodes, `8,4` when the nodes differ."""
    digits = text.split("(")[0].split(",")[0]
    return int(digits) if digits.isdecimal() else 1


def _incomplete(message: str) -> TrainingFault:
    return TrainingFault(
        LAUNCH,
        f"the environment of this process is incomplete: {message}",
        helps=(
            "start with `m3ic train --nproc-per-node N` or `torchrun`, which set all of it",
            'in a Slurm script, `export MASTER_PORT=29500 MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" '
            "| head -n 1)` before `srun`",
        ),
    )
