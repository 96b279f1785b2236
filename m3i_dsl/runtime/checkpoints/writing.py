"""From staged tensors to a published checkpoint, in a thread of every process.

Takes: what was staged, what goes to JSON, the processes with a group that nothing else uses. Gives: a folder
`step-N`, or the same fault on all processes and no trace of the attempt. Guarantees, in this order: every process looks
whether all that it writes is finite, writes its shards into `step-N.tmp`, brings them to the disk and hashes what the
disk has; process 0 gathers sizes and hashes, writes `state.json` and the manifest, brings names to the disk, renames
the folder, moves the pointer `latest`, and removes what is older than the `keep` newest. So a folder without `.tmp` in
its name is complete and finite, and a kill at any moment loses nothing that was valid.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_saver import save

from m3i_dsl.runtime.checkpoints.content import Json
from m3i_dsl.runtime.checkpoints.folder import (
    LATEST,
    MANIFEST,
    STATE,
    entry_of,
    manifest_text,
    name_of,
    published,
    shards_of,
)
from m3i_dsl.runtime.checkpoints.staging import Staged, StagedPlanner
from m3i_dsl.runtime.distributed.agreement import by_first, gathered, together
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.faults import TrainingFault, cannot_write, not_finite
from m3i_dsl.runtime.run_folder import sync_folder, write_text

T = TypeVar("T")


class Writer:
    """Writes checkpoints into `folder` and keeps the `keep` newest."""

    def __init__(self, folder: Path, keep: int, processes: Processes) -> None:
        self._folder, self._keep, self._processes = folder, keep, processes

    def prepare(self, step: int) -> None:
        """Process 0 makes an empty `step-N.tmp`. Raises OSError."""
        temporary = self._temporary(step)
        self._folder.mkdir(parents=True, exist_ok=True)
        if temporary.exists():
            shutil.rmtree(temporary)
        temporary.mkdir()

    def write(self, step: int, staged: Staged, plain: Json, tensors: dict[str, str]) -> Path:
        """All processes together. Raises TrainingFault on all of them: M3I0706 when one cannot write, M3I0701 for what
        is not finite.
        """
        temporary, final = self._temporary(step), self._folder / name_of(step)
        try:
            together(self._processes, lambda: require_finite(step, staged, self._folder))
            self._careful(step, lambda: self._write_shards(temporary, staged, tensors))
            own = self._careful(
                step, lambda: {path.name: entry_of(path) for path in shards_of(temporary, self._processes.rank)}
            )
            files = {name: entry for part in gathered(self._processes, own) for name, entry in part.items()}
            state = {"plain": plain, "tensors": tensors}

            def publish() -> None:
                path = temporary / STATE
                path.write_text(json.dumps(state, allow_nan=False), encoding="utf-8")
                _publish(temporary, final, step, files | {STATE: entry_of(path)})
                self._prune(final.name)

            by_first(self._processes, lambda: self._reported(step, publish))
        except TrainingFault:
            if self._processes.first:
                shutil.rmtree(temporary, ignore_errors=True)
            raise
        return final

    def discard(self, path: Path) -> None:
        """Removes a folder; under its own name it is always complete, even when the process dies half-way."""
        if not path.exists():
            return
        doomed = path.with_name(path.name + ".tmp")
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(path, doomed)
        shutil.rmtree(doomed)

    def _write_shards(self, temporary: Path, staged: Staged, tensors: dict[str, str]) -> None:
        storage = HuggingFaceStorageWriter(
            str(temporary), fqn_to_index_mapping=dict(staged.files), save_distributed=True
        )
        # What is written lies on the host already: nothing is to be loaded ahead, on a stream that is training's.
        storage.per_thread_copy_ahead = 0
        try:
            metadata = save(
                {},
                storage_writer=storage,
                planner=StagedPlanner(staged),
                process_group=self._processes.control,
                no_dist=self._processes.control is None,
            )
        except CheckpointException as problem:
            # Every process is told what failed on which; the first of them that failed is the one to name.
            raise problem.failures[min(problem.failures)][0] from problem
        if missing := sorted(tensors.keys() - metadata.state_dict_metadata.keys()):
            raise RuntimeError(f"no process has written `{missing[0]}`")

    def _careful(self, step: int, action: Callable[[], T]) -> T:
        """All processes act; when one fails in any way, all raise the fault for it."""
        return together(self._processes, lambda: self._reported(step, action))

    def _reported(self, step: int, action: Callable[[], T]) -> T:
        try:
            return action()
        except Exception as problem:
            raise cannot_write(f"the checkpoint of step {step} in `{self._folder}`", problem) from problem

    def _prune(self, newest: str) -> None:
        for _, name in published(self._folder)[self._keep :]:
            if name != newest:
                self.discard(self._folder / name)
        for path in self._folder.glob("step-*.tmp"):
            shutil.rmtree(path)

    def _temporary(self, step: int) -> Path:
        return self._folder / f"{name_of(step)}.tmp"


def require_finite(step: int, staged: Staged, folder: Path) -> None:
    """Raises TrainingFault (M3I0701). The copies are looked at, in this thread, while training goes on."""
    for name, tensor in staged.host.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise not_finite(step, name, newest_of(folder))


def newest_of(folder: Path) -> Path | None:
    """The newest checkpoint in `folder`; each one is finite."""
    return next((folder / name for _, name in published(folder)), None)


def _publish(temporary: Path, final: Path, step: int, files: dict[str, Any]) -> None:
    path = temporary / MANIFEST
    path.write_text(manifest_text(step, files), encoding="utf-8")
    entry_of(path)  # it is on the disk then
    sync_folder(temporary)
    os.rename(temporary, final)
    sync_folder(final.parent)
    write_text(final.parent / LATEST, f"{final.name}\n")
