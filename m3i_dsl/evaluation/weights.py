"""What an encoder starts from: a safetensors file, a folder of `m3ic export`, or a run.

Takes: the path that a recipe gives. Gives: tensors by timm's names, and the sha256 that the lock pins them by.
Guarantees: of a run the newest checkpoint that verifies, and of its stages the last one that has any; nothing is
unpickled and nothing in the folder is changed. Errors are WordErrors, for they are said at the argument.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from m3i_dsl.artifact.lock import file_sha256
from m3i_dsl.evaluation import export
from m3i_dsl.runtime.checkpoints.folder import MANIFEST
from m3i_dsl.runtime.checkpoints.named import WEIGHTS
from m3i_dsl.runtime.checkpoints.reading import Checkpoint
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.run_folder import holds_run, read_identity, stage_path
from m3i_dsl.vocabulary.kinds import WordError

_ENCODER = WEIGHTS + "encoders."
_MODEL = ".model."
"""Between the name of an encoder that is trained and those that timm gives its parameters."""


def weights_sha256(path: Path) -> str:
    """What pins the weights at `path`: of a file its content, of a run the manifest of the checkpoint that is taken.

    Raises WordError.
    """
    found = _found(path)
    try:
        return file_sha256(found.path / MANIFEST if isinstance(found, Checkpoint) else found)
    except OSError as problem:
        raise WordError(f"`{path.name}` cannot be read: {problem.strerror}") from problem


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors at `path`, by timm's names. Raises WordError."""
    found = _found(path)
    if isinstance(found, Checkpoint):
        return _first_encoder(found, path)
    try:
        return load_file(found)
    except (SafetensorError, OSError) as problem:
        raise WordError(
            f"`{path.name}` is not a safetensors file: {problem}",
            help="make one of a published checkpoint with `m3ic import`; of one that is damaged, take another copy",
        ) from problem


def _found(path: Path) -> Path | Checkpoint:
    if path.is_file():
        return path
    if not path.is_dir():
        raise WordError(f"there is no file `{path}`")
    if holds_run(path):
        return _newest(path)
    if (path / export.WEIGHTS).is_file():
        return path / export.WEIGHTS
    raise WordError(
        f"`{path.name}` holds neither an export nor a run",
        help="name a safetensors file, a folder of `m3ic export`, or the folder of a run",
    )


def _newest(run: Path) -> Checkpoint:
    try:
        stages = read_identity(run).stages
        for folder in [stage_path(run, stage) for stage in reversed(stages)] if stages else [run]:
            checkpoint, _ = CheckpointStore(folder / "checkpoints").newest()
            if checkpoint is not None:
                return checkpoint
    except TrainingFault as fault:
        raise WordError(fault.message, help=fault.helps[0] if fault.helps else None) from fault
    raise WordError(f"run `{run.name}` has no checkpoint yet", help="let it train until its first checkpoint")


def _first_encoder(checkpoint: Checkpoint, run: Path) -> dict[str, Tensor]:
    """The first encoder in the checkpoint that is no copy of another: copies stand in a module of their own."""
    table = checkpoint.table()
    named = [name for name in table if name.startswith(_ENCODER)]
    first = next((name for name in named if name.removeprefix(_ENCODER).partition(".")[2].startswith(_MODEL[1:])), None)
    if first is None:
        raise WordError(f"run `{run.name}` has trained no encoder `timm(...)`")
    prefix = first.partition(_MODEL)[0] + _MODEL
    places = {name: _empty(table[name]) for name in named if name.startswith(prefix)}
    try:
        checkpoint.read(places)
    except ValueError as problem:
        raise WordError(f"the checkpoint `{checkpoint.path}` cannot be read: {problem}") from problem
    return {name.removeprefix(prefix): tensor for name, tensor in places.items()}


def _empty(description: str) -> Tensor:
    """A tensor as a checkpoint describes it, `float32[8, 6]`."""
    dtype, _, sizes = description.rstrip("]").partition("[")
    return torch.empty([int(size) for size in sizes.split(",") if size.strip()], dtype=getattr(torch, dtype))
