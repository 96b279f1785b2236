"""The folder of one checkpoint.

Takes: `checkpoints/step-000120/` and its files. Gives: its manifest and whether it verifies. Guarantees: a file that is
missing, truncated, changed by one bit or not among those that were written is named; what several processes verify
together is what one would verify alone, each file once.

    shard-00001-model-00001-of-00002.safetensors   tensors of process 1, in DCP's form for safetensors
    state.json                                     what is no tensor, and the table of all tensors
    manifest.json                                  size and sha256 of each file above; written last
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from m3i_dsl.runtime.faults import lacks_descriptors, no_descriptors

MANIFEST = "manifest.json"
STATE = "state.json"
SUFFIX = ".safetensors"
LATEST = "latest"
SCHEMA = 2
_STEP = re.compile(r"step-(\d{6,})")

Files = Mapping[str, Mapping[str, Any]]
"""What a manifest says of each file: its `bytes` and its `sha256`."""


def name_of(step: int) -> str:
    """The folder of the checkpoint after `step` completed steps."""
    return f"step-{step:06d}"


def published(folder: Path) -> list[tuple[int, str]]:
    """Steps and names of the complete checkpoints in a folder, newest first. Raises OSError."""
    entries = folder.iterdir() if folder.is_dir() else ()
    found = [(int(match.group(1)), path.name) for path in entries if (match := _STEP.fullmatch(path.name))]
    return sorted(found, reverse=True)


def shards_of(path: Path, rank: int) -> list[Path]:
    """The files that DCP has written for a process: it counts processes from 1."""
    return sorted(path.glob(f"shard-{rank + 1:05d}-*{SUFFIX}"))


def entry_of(path: Path) -> dict[str, Any]:
    """A file's entry in the manifest, once the file is on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def manifest_text(step: int, files: Files) -> str:
    """The content of a manifest."""
    return json.dumps({"schema": SCHEMA, "step": step, "files": files}, indent=2) + "\n"


def manifest_of(path: Path, step: int) -> Files | str:
    """The files of a checkpoint, or what is wrong with its manifest, in words. Raises TrainingFault as `verify`."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            return f"`{MANIFEST}` has schema {manifest['schema']}, which this version does not read"
        if manifest["step"] != step:
            return f"`{MANIFEST}` is that of step {manifest['step']}"
        files: dict[str, dict[str, Any]] = manifest["files"]
        # DCP reads every file of this kind that it finds.
        if strangers := sorted(file.name for file in path.glob(f"*{SUFFIX}") if file.name not in files):
            return f"`{strangers[0]}` is not in `{MANIFEST}`"
        complete = all({"bytes", "sha256"} <= entry.keys() for entry in files.values()) and STATE in files
        inside = all(Path(name).name == name for name in files)
        return files if complete and inside else f"`{MANIFEST}` cannot be read"
    except FileNotFoundError:
        return f"`{MANIFEST}` is missing"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"`{MANIFEST}` cannot be read"
    except OSError as problem:
        if lacks_descriptors(problem):
            raise no_descriptors(path) from problem
        return f"it cannot be read: {problem.strerror}"


def files_problem(path: Path, files: Files, share: int = 0, shares: int = 1) -> str | None:
    """What is wrong with the files, in words, or None. Of `shares` processes, each looks at every `shares`-th file.
    Raises TrainingFault as `verify`.
    """
    try:
        for name in sorted(files)[share::shares]:
            file, entry = path / name, files[name]
            if not file.is_file():
                return f"`{name}` is missing"
            if (size := file.stat().st_size) != entry["bytes"]:
                return f"`{name}` has {size} bytes instead of {entry['bytes']}"
            if _sha256(file) != entry["sha256"]:
                return f"the content of `{name}` does not match its sha256"
    except OSError as problem:
        if lacks_descriptors(problem):
            raise no_descriptors(path) from problem
        return f"it cannot be read: {problem.strerror}"
    return None


def verify(path: Path, step: int) -> str | None:
    """What is wrong with a checkpoint, in words, or None. Raises TrainingFault (M3I0702) when no file can be opened."""
    files = manifest_of(path, step)
    return files if isinstance(files, str) else files_problem(path, files)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
