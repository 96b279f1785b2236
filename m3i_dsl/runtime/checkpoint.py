"""Checkpoints: published atomically with hashes, verified when read.

Takes: tensors and JSON by file name. Gives: `checkpoints/step-000120/` with those files and `manifest.json` (size and
sha256 of each). Guarantees: a folder without `.tmp` in its name is complete; every file and name is on disk before the
`latest` pointer names it; an existing step is never overwritten; a failed write loses nothing that was valid before;
nothing is ever pickled. A checkpoint that does not verify is named, with the file and the reason, and the one before it
is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from m3i_dsl.runtime.faults import (
    CHECKPOINT_EXISTS,
    DAMAGED_CHECKPOINT,
    Notice,
    TrainingFault,
    cannot_write,
)
from m3i_dsl.runtime.run_folder import sync_folder, write_text

_MANIFEST = "manifest.json"
_LATEST = "latest"
_SCHEMA = 1
_STEP = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint: `step` completed steps, its folder."""

    step: int
    path: Path

    def tensors(self, name: str) -> dict[str, Tensor]:
        return load_file(self.path / name)

    def json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text(encoding="utf-8"))


class CheckpointStore:
    """The checkpoints of one run; the newest `keep` are kept."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError("at least one checkpoint is kept")
        self._folder = folder
        self._keep = keep

    def save(self, step: int, files: Mapping[str, Mapping[str, Tensor] | Any]) -> Path:
        """Publishes a checkpoint after `step` completed steps; a `.safetensors` name takes tensors, a `.json` name a
        value.

        Raises TrainingFault: M3I0713 when the step exists, M3I0706 when it cannot be written.
        """
        final = self._path(step)
        if final.exists():
            raise TrainingFault(
                CHECKPOINT_EXISTS,
                f"`{final}` exists and is never overwritten",
                helps=("continue the run with `--resume`, or start another one",),
            )
        temporary = final.with_name(final.name + ".tmp")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._discard(temporary)
            temporary.mkdir()
            self._write(temporary, step, files)
            os.rename(temporary, final)
            sync_folder(self._folder)
            write_text(self._folder / _LATEST, f"{final.name}\n")
            self._prune(final)
        except (OSError, SafetensorError) as problem:
            shutil.rmtree(temporary, ignore_errors=True)
            raise cannot_write(f"the checkpoint of step {step} in `{self._folder}`", problem) from problem
        return final

    def newest(self) -> tuple[Checkpoint | None, list[Notice]]:
        """The newest checkpoint that verifies, and a warning for each newer one that does not.

        None when there is no checkpoint at all. Raises TrainingFault (M3I0702) when there are some and none verifies.
        """
        damaged: list[Notice] = []
        for step, path in self._complete():
            problem = verify(path, step)
            if problem is None:
                return Checkpoint(step, path), damaged
            damaged.append(Notice(DAMAGED_CHECKPOINT, f"checkpoint `{path}` is damaged and left aside: {problem}"))
        if not damaged:
            return None, []
        raise TrainingFault(
            DAMAGED_CHECKPOINT,
            f"no checkpoint in `{self._folder}` can be used",
            notes=tuple(notice.message for notice in damaged),
            helps=("start a new run, or bring the folder back from a copy",),
        )

    def set_aside_after(self, step: int) -> None:
        """Renames checkpoints of later steps (damaged ones) to `.damaged`, so that their steps can be reached again."""
        for later, path in self._complete():
            if later > step:
                target = path.with_name(path.name + ".damaged")
                self._discard(target)
                os.rename(path, target)

    def has(self, step: int) -> bool:
        return self._path(step).exists()

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:06d}"

    def _complete(self) -> list[tuple[int, Path]]:
        """Published checkpoints, newest first."""
        entries = self._folder.iterdir() if self._folder.is_dir() else ()
        found = [(int(match.group(1)), path) for path in entries if (match := _STEP.fullmatch(path.name))]
        return sorted(found, reverse=True)

    def _write(self, folder: Path, step: int, files: Mapping[str, Any]) -> None:
        table: dict[str, Any] = {}
        for name, content in files.items():
            path = folder / name
            if name.endswith(".safetensors"):
                save_file(dict(content), path)
            else:
                path.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
            _sync_file(path)
            table[name] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        manifest = {"schema": _SCHEMA, "step": step, "files": table}
        manifest_path = folder / _MANIFEST
        manifest_path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        _sync_file(manifest_path)
        sync_folder(folder)

    def _prune(self, newest: Path) -> None:
        published = [path for _, path in self._complete()]
        kept = published[: self._keep]
        for path in published:
            if path not in kept and path != newest:
                self._discard(path)
        for path in self._folder.glob("step-*.tmp"):
            shutil.rmtree(path)

    def _discard(self, path: Path) -> None:
        """Removes a folder; under its own name it is always complete, even when the process dies half-way."""
        if not path.exists():
            return
        doomed = path if path.suffix == ".tmp" else path.with_name(path.name + ".tmp")
        if doomed != path:
            shutil.rmtree(doomed, ignore_errors=True)
            os.rename(path, doomed)
        shutil.rmtree(doomed)


def verify(path: Path, step: int) -> str | None:
    """What is wrong with a checkpoint, in words, or None."""
    try:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["schema"] != _SCHEMA:
            return f"`{_MANIFEST}` has schema {manifest['schema']}, which this version does not read"
        if manifest["step"] != step:
            return f"`{_MANIFEST}` is that of step {manifest['step']}"
        files: dict[str, dict[str, Any]] = manifest["files"]
        for name, entry in files.items():
            file = path / name
            if not file.is_file():
                return f"`{name}` is missing"
            if (size := file.stat().st_size) != entry["bytes"]:
                return f"`{name}` has {size} bytes instead of {entry['bytes']}"
            if _sha256(file) != entry["sha256"]:
                return f"the content of `{name}` does not match its sha256"
    except FileNotFoundError:
        return f"`{_MANIFEST}` is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"`{_MANIFEST}` cannot be read"
    except OSError as problem:
        return f"it cannot be read: {problem.strerror}"
    return None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
