"""One folder for each run, one process for each folder.

Takes: the folder of all runs, or a run's own. Gives: a locked run folder. Guarantees: no two processes train in the
same folder; a new run never starts in one that holds another; what the run trains is copied into it, so that it can
be resumed and evaluated after the recipe was compiled anew.

    run.json            recipe name and fingerprint, versions, and a checksum of these
    artifact/           a copy of what is trained
    checkpoints/        see checkpoints/folder.py
    metrics.jsonl       see reporting/metrics.py
    summary.json        written when training is complete

A run of stages has run.json, artifact/ and a run folder as above for each stage, stages/1-pixels/, which has
handover.safetensors when it is complete (see handover.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from m3i_dsl.artifact.copy import copy_artifact
from m3i_dsl.artifact.fingerprint import sha256
from m3i_dsl.artifact.manifest import COPY, STAGES
from m3i_dsl.artifact.pipeline import copy_pipeline, stage_folder
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.faults import (
    NOTHING_TO_RESUME,
    OTHER_RECIPE,
    RUN_EXISTS,
    RUN_IN_USE,
    TrainingFault,
    cannot_write,
)

IDENTITY = "run.json"
SUMMARY = "summary.json"
_LATEST = "latest"
_LOOKS = 5


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What a run trains. Two runs with the same fingerprint compute the same program.

    `stages` are the names of a run of stages, each of which has a run folder inside of it; none in any other.
    """

    recipe: str
    fingerprint: str
    versions: dict[str, str]
    stages: tuple[str, ...] = ()

    @property
    def checksum(self) -> str:
        """Of all of it: a run must not be taken for another one."""
        return sha256(json.dumps([self.recipe, self.fingerprint, self.versions, self.stages], sort_keys=True))


class RunFolder(AbstractContextManager["RunFolder"]):
    """A run's folder, locked from construction until `close`.

    Of several processes rank 0 holds the lock (`create`, `open`), for all of them; the others construct it without.
    """

    def __init__(self, path: Path, identity: RunIdentity, lock: tuple[int, ...] = ()) -> None:
        self.path = path
        self.identity = identity
        self._lock = lock

    @classmethod
    def create(cls, path: Path, identity: RunIdentity, artifact: Path | None = None) -> RunFolder:
        """Starts a run in `path`, with a copy of `artifact`. M3I0709 when a run is there already."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = _lock(path)
        except OSError as problem:
            raise cannot_write(f"the run folder `{path}`", problem) from problem
        try:
            if (path / IDENTITY).exists():
                raise TrainingFault(
                    RUN_EXISTS,
                    f"`{path}` already holds a run",
                    helps=("continue it with `--resume`, or choose another folder with `--run`",),
                )
            if artifact is not None:
                copy = copy_pipeline if identity.stages else copy_artifact
                copy(artifact, path / COPY)
            # Last, so that a folder with run.json in it always has all that a run needs.
            write_json(path / IDENTITY, {"schema": 1, **_fields(identity)})
            write_text(path.parent / _LATEST, f"{path.name}\n")
        except OSError as problem:
            _release(lock)
            raise cannot_write(f"the run folder `{path}`", problem) from problem
        except (TrainingFault, RecipeError):
            _release(lock)
            raise
        return cls(path, identity, lock)

    @classmethod
    def open(cls, path: Path, fingerprint: str | None = None) -> RunFolder:
        """Opens the run in `path`. M3I0707 when there is none, M3I0708 when it trains something else than
        `fingerprint`.
        """
        identity = read_identity(path)
        if fingerprint is not None and fingerprint != identity.fingerprint:
            raise TrainingFault(
                OTHER_RECIPE,
                f"`{path}` is a run of another program than the artifact's",
                notes=(f"the run's fingerprint is {identity.fingerprint[:12]}, the artifact's {fingerprint[:12]}",),
                helps=(
                    "leave the artifact out to continue the run as compiled, or start a new one without `--resume`",
                ),
            )
        try:
            return cls(path, identity, _lock(path))
        except OSError as problem:
            raise cannot_write(f"the run folder `{path}`", problem) from problem

    @property
    def artifact(self) -> Path:
        return self.path / COPY

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def summary(self) -> Path:
        return self.path / SUMMARY

    def close(self) -> None:
        """Lets another process train here."""
        _release(self._lock)
        self._lock = ()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def new_path(runs: Path, recipe: str) -> Path:
    """`runs/RECIPE-N` with the smallest N above all that exist."""
    taken = [
        int(match.group(1))
        for path in (runs.iterdir() if runs.is_dir() else ())
        if (match := re.fullmatch(re.escape(recipe) + r"-(\d+)", path.name))
    ]
    return runs / f"{recipe}-{max(taken, default=0) + 1}"


def stage_path(run: Path, stage: str) -> Path:
    """The run folder of a stage, in that of a run of stages. Raises TrainingFault (M3I0707)."""
    return stage_folder(run, read_identity(run).stages.index(stage), stage)


def run_name(run: Path) -> str:
    """What a run is called: by its folder, and a stage with the run that it is a stage of, `stages-1/1-pixels`."""
    return f"{run.parent.parent.name}/{run.name}" if run.parent.name == STAGES else run.name


def holds_run(path: Path) -> bool:
    """Whether a run was started in the folder."""
    return (path / IDENTITY).is_file()


def latest_path(runs: Path, fingerprint: str | None = None) -> Path:
    """The run started last, among those of `fingerprint` if it is given. Raises TrainingFault (M3I0707)."""
    pointer = runs / _LATEST
    if fingerprint is None and pointer.is_file():
        path = runs / pointer.read_text(encoding="utf-8", errors="replace").strip()
        if "\0" not in str(path) and holds_run(path):
            return path
    found = [path.parent for path in runs.glob(f"*/{IDENTITY}")] if runs.is_dir() else []
    found = [path for path in found if fingerprint is None or _fingerprint(path) == fingerprint]
    if not found:
        what = "of this artifact " if fingerprint is not None else ""
        raise TrainingFault(
            NOTHING_TO_RESUME,
            f"there is no run {what}in `{runs}`",
            helps=("start one with `m3ic train`, or name a run's folder",),
        )
    return max(found, key=lambda path: (path / IDENTITY).stat().st_mtime_ns)


def _fingerprint(path: Path) -> str | None:
    """None for a run that cannot be read: it is not the one that is looked for."""
    try:
        return read_identity(path).fingerprint
    except TrainingFault:
        return None


def read_identity(path: Path) -> RunIdentity:
    """Raises TrainingFault (M3I0707) when `path` holds no run."""
    try:
        return _identity(json.loads((path / IDENTITY).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as problem:
        raise TrainingFault(
            NOTHING_TO_RESUME,
            f"`{path}` does not hold a run",
            notes=(f"`{IDENTITY}`: {'it is nested too deeply' if isinstance(problem, RecursionError) else problem}",),
            helps=("start a run with `m3ic train`, or name another folder with `--run`",),
        ) from problem


def read_summary(path: Path) -> int | None:
    """The last step of a run whose training is complete; None while there is no whole summary."""
    try:
        step = json.loads((path / SUMMARY).read_text(encoding="utf-8"))["step"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return step if isinstance(step, int) else None


def _identity(saved: Any) -> RunIdentity:
    """Raises ValueError for anything but what `create` writes."""
    if not isinstance(saved, dict):
        raise ValueError("it is not an object")
    known = cast(dict[str, Any], saved)
    recipe, fingerprint, versions = (known.get(name) for name in ("recipe", "fingerprint", "versions"))
    stages = known.get("stages", [])
    for name, value, texts in (
        ("recipe", recipe, [recipe]),
        ("fingerprint", fingerprint, [fingerprint]),
        ("versions", versions, [*versions.values()] if isinstance(versions, dict) else [None]),
        ("stages", stages, stages if isinstance(stages, list) else [None]),
    ):
        if not all(isinstance(text, str) for text in cast(list[Any], texts)):
            raise ValueError(f"`{name}` is {'not there' if value is None else 'not what a run has'}")
    found = RunIdentity(cast(str, recipe), cast(str, fingerprint), cast(dict[str, str], versions), tuple(stages))
    if known.get("checksum") != found.checksum:
        raise ValueError("it was changed after it was written")
    return found


def write_json(path: Path, value: dict[str, Any]) -> None:
    """As `write_text`, indented, keys as given."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replaces a small file as a whole: a reader sees the old content or the new one. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes names that were added to or removed from a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process trains in the folder now, on this machine or another that shares it. Changes nothing."""
    return any(_is_locked(part) for part in (path / "lock", path))


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system that does not lock folders
        return False
    finally:
        os.close(descriptor)
    return False


def _fields(identity: RunIdentity) -> dict[str, Any]:
    fields = {"recipe": identity.recipe, "fingerprint": identity.fingerprint, "versions": identity.versions}
    stages = {"stages": list(identity.stages)} if identity.stages else {}
    return {**fields, **stages, "checksum": identity.checksum}


def _lock(path: Path) -> tuple[int, ...]:
    """Holds `path/lock` and the folder; the system lets go of them when the process ends, however it ends.

    The file says who holds it, also to other machines; it can be deleted while it is held, and the folder cannot.
    """
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock_at_once(descriptor)
        _lock_folder(folder)
    except BlockingIOError:
        holder = os.pread(descriptor, 300, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        os.close(folder)
        raise _in_use(path, holder) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode("ascii", "replace"), 0)
    _held.update((descriptor, folder))
    return descriptor, folder


def _in_use(path: Path, holder: str) -> TrainingFault:
    """`holder` is what the lock says: a process and its machine, nothing when the file of who holds it is gone."""
    number, _, host = holder.partition(" ")
    if not number:
        return TrainingFault(
            RUN_IN_USE,
            f"another process is training in `{path}`, and its `lock` was deleted",
            helps=("find it with `ps` and wait for it or stop it, or choose another folder with `--run`",),
        )
    elsewhere = f" on `{host}`" if host and host != socket.gethostname() else ""
    return TrainingFault(
        RUN_IN_USE,
        f"process {number}{elsewhere} is training in `{path}`",
        helps=(f"wait for it, stop it with `kill {number}`{elsewhere}, or choose another folder with `--run`",),
    )


def _lock_folder(descriptor: int) -> None:
    """Raises BlockingIOError. Some network file systems do not lock folders: there the file alone keeps others out."""
    try:
        _lock_at_once(descriptor)
    except BlockingIOError:
        raise
    except OSError:
        return


def _lock_at_once(descriptor: int) -> None:
    """Raises BlockingIOError when it is taken, and not by one who only looks (`is_held`), which takes no time."""
    for _ in range(_LOOKS):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(lock: tuple[int, ...]) -> None:
    for descriptor in lock:
        _held.discard(descriptor)
        os.close(descriptor)


def _release_in_child() -> None:
    while _held:
        os.close(_held.pop())


# A lock of this kind is shared with forked children (data workers), which may outlive a killed parent.
_held: set[int] = set()
os.register_at_fork(after_in_child=_release_in_child)
