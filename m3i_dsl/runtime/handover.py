"""What a stage leaves to the stages after it: `handover.safetensors` in its run folder.

Takes: the run folder of a stage and the tensors that it hands over. Gives: the file, and its tensors back. Guarantees:
a stage is complete when the file is there; it appears under its name as a whole, after its sha256 was written to the
`run.json` beside it, so that a kill at any moment leaves a stage that is complete or one that hands over again, with
the same bytes; nothing is unpickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from m3i_dsl.artifact.fingerprint import sha256
from m3i_dsl.runtime.faults import DAMAGED_CHECKPOINT, TrainingFault, cannot_write
from m3i_dsl.runtime.run_folder import IDENTITY, sync_folder, write_json

HANDOVER = "handover.safetensors"
_HASH = "handover"
"""The key of its sha256 in `run.json`."""


def is_complete(stage: Path) -> bool:
    """Whether the stage in this run folder has handed over."""
    return (stage / HANDOVER).is_file()


def hand_over(stage: Path, tensors: Mapping[str, Tensor]) -> None:
    """Publishes the tensors of a stage whose training is complete. Raises TrainingFault (M3I0706)."""
    content = save({name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()})
    temporary = stage / f"{HANDOVER}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        write_json(stage / IDENTITY, {**_saved(stage), _HASH: sha256(content)})
        os.replace(temporary, stage / HANDOVER)
        sync_folder(stage)
    except OSError as problem:
        raise cannot_write(f"`{stage / HANDOVER}`", problem) from problem


def read_handover(stage: Path) -> dict[str, Tensor]:
    """The tensors that a stage handed over. Raises TrainingFault (M3I0702) when they are not those that it wrote."""
    path = stage / HANDOVER
    try:
        content, recorded = path.read_bytes(), _saved(stage).get(_HASH)
        if sha256(content) != recorded:
            raise _damaged(path, "its content does not match the sha256 in `run.json`")
        return load(content)
    except (OSError, ValueError, AttributeError, RecursionError, SafetensorError) as problem:
        raise _damaged(path, str(problem)) from problem


def does_not_fit(stage: Path, name: str) -> TrainingFault:
    """The fault for a tensor that a later stage starts from and the file does not have."""
    return _damaged(stage / HANDOVER, f"it has no `{name}`")


def _saved(stage: Path) -> dict[str, Any]:
    return json.loads((stage / IDENTITY).read_text(encoding="utf-8"))


def _damaged(path: Path, why: str) -> TrainingFault:
    return TrainingFault(
        DAMAGED_CHECKPOINT,
        f"`{path}`, which later stages start from, is damaged: {why}",
        helps=("remove it and continue with `m3ic train --resume`: it is made again from the stage's last checkpoint",),
    )
