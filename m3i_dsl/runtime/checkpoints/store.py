"""The checkpoints of one run: saved while training goes on, chosen by all processes alike.

Takes: the folder `checkpoints/` of a run and the processes that train it. Gives: `save`, which returns once tensors are
copied to host memory and leaves the rest to a thread; `newest`, the newest checkpoint that verifies. Guarantees: one
save is under way at a time, on a process group of its own, so that nothing it sends meets what training sends; a
failed save is a fault at the next boundary, on all processes at the same one; an existing step is never overwritten;
a checkpoint that does not verify is named, with the file and the reason, and the one before it is used.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist

from m3i_dsl.runtime.checkpoints.content import Content, table
from m3i_dsl.runtime.checkpoints.folder import files_problem, manifest_of, name_of, published
from m3i_dsl.runtime.checkpoints.reading import Checkpoint, alone_is_meant
from m3i_dsl.runtime.checkpoints.staging import Staging
from m3i_dsl.runtime.checkpoints.writing import Writer
from m3i_dsl.runtime.distributed.agreement import Vote, by_first, gathered
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.lost import how
from m3i_dsl.runtime.faults import CHECKPOINT_EXISTS, DAMAGED_CHECKPOINT, Notice, TrainingFault, cannot_write

LONGEST_WRITE = timedelta(hours=1)
"""How long a process waits for another to write its part, before it takes it for dead."""

_DONE, _UNDER_WAY, _FAILED = 0, 1, 2


class CheckpointStore(AbstractContextManager["CheckpointStore"]):
    """The checkpoints of one run; the newest `keep` are kept. All processes call the same methods in the same order.

    `stalled` counts the seconds for which training has waited here.
    """

    def __init__(self, folder: Path, keep: int = 2, processes: Processes | None = None) -> None:
        if keep < 1:
            raise ValueError("at least one checkpoint is kept")
        self._folder = folder
        self._processes = Processes(torch.device("cpu")) if processes is None else processes
        self._group: Any = (
            None
            if self._processes.control is None
            else dist.new_group(backend="gloo", timeout=LONGEST_WRITE, group_desc="checkpoints")
        )
        self._writer = Writer(folder, keep, replace(self._processes, control=self._group))
        self._staging = Staging(self._processes.rank, self._processes.size)
        self._thread: ThreadPoolExecutor | None = None
        self._pending: tuple[int, Future[Path]] | None = None
        self._vote = Vote(self._processes)
        self.stalled = 0.0

    # --- writing ------------------------------------------------------------------------------------------------------

    def save(self, step: int, content: Content) -> None:
        """Begins to publish a checkpoint after `step` completed steps; the save before it is finished first.

        Raises TrainingFault: M3I0713 when the step exists, M3I0706 when this one or the one before cannot be written.
        """
        begun = time.monotonic()
        try:
            self.wait()
            by_first(self._processes, lambda: self._prepare(step))
            staged = self._staging.stage(content.tensors)
            alone_is_meant()
            if self._thread is None:
                self._thread = ThreadPoolExecutor(
                    1, thread_name_prefix="checkpoint", initializer=self._processes.use_device
                )
            written = self._thread.submit(self._writer.write, step, staged, content.plain, table(content.tensors))
            self._pending = step, written
            self._vote.ask(_UNDER_WAY)
        finally:
            self.stalled += time.monotonic() - begun

    def poll(self) -> None:
        """Raises the fault of a save that has failed meanwhile, on all processes alike. Waits for nothing else."""
        if self._pending is None:
            return
        verdict = self._vote.answer(self._state())
        if verdict == _UNDER_WAY:
            self._vote.ask(self._state())
        else:
            self._finish()

    def wait(self) -> None:
        """Returns when no save is under way. Raises TrainingFault (M3I0706) when it has failed."""
        if self._pending is not None:
            self._vote.answer(_UNDER_WAY)
            self._finish()

    def close(self) -> None:
        """Finishes the save that is under way. Raises as `wait`."""
        try:
            self.wait()
        finally:
            if self._thread is not None:
                self._thread.shutdown()
                self._thread = None
            self._staging.release()
            if self._group is not None:
                dist.destroy_process_group(self._group)
                self._group = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        step = None if self._pending is None else self._pending[0]
        try:
            self.close()
        except Exception as problem:
            if error is None:
                raise
            error.add_note(f"the checkpoint of step {step} was not finished: {how(problem)}")

    def has(self, step: int) -> bool:
        """Whether a step is published or about to be."""
        if self._pending is not None and self._pending[0] == step:
            return True
        return by_first(self._processes, (self._folder / name_of(step)).exists)

    # --- reading ------------------------------------------------------------------------------------------------------

    def newest(self) -> tuple[Checkpoint | None, list[Notice]]:
        """The newest checkpoint that verifies, and a warning for each newer one that does not.

        Every process verifies a share of the files, and one that a process finds damaged is damaged for all. None when
        there is no checkpoint at all. Raises TrainingFault (M3I0702) when there are some and none verifies.
        """
        self.wait()
        damaged: list[Notice] = []
        for step, name in by_first(self._processes, lambda: published(self._folder)):
            path = self._folder / name
            problem = self._problem(path, step)
            if problem is None:
                return Checkpoint(step, path), damaged
            damaged.append(Notice(DAMAGED_CHECKPOINT, f"checkpoint `{path}` is damaged and left aside: {problem}"))

        def refuse() -> None:
            raise TrainingFault(
                DAMAGED_CHECKPOINT,
                f"no checkpoint in `{self._folder}` can be used",
                notes=tuple(notice.message for notice in damaged),
                helps=("start a new run, or bring the folder back from a copy",),
            )

        if damaged:
            by_first(self._processes, refuse)
        return None, []

    def set_aside_after(self, step: int) -> None:
        """Renames checkpoints of later steps (damaged ones) to `.damaged`, so that their steps can be reached again."""

        def set_aside() -> None:
            for later, name in published(self._folder):
                if later > step:
                    target = self._folder / f"{name}.damaged"
                    self._writer.discard(target)
                    os.rename(self._folder / name, target)

        by_first(self._processes, set_aside)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _prepare(self, step: int) -> None:
        final = self._folder / name_of(step)
        if final.exists():
            raise TrainingFault(
                CHECKPOINT_EXISTS,
                f"`{final}` exists and is never overwritten",
                helps=("continue the run with `--resume`, or start another one",),
            )
        try:
            self._writer.prepare(step)
        except OSError as problem:
            raise cannot_write(f"the checkpoint of step {step} in `{self._folder}`", problem) from problem

    def _state(self) -> int:
        assert self._pending is not None
        written = self._pending[1]
        if not written.done():
            return _UNDER_WAY
        return _DONE if written.exception() is None else _FAILED

    def _finish(self) -> None:
        """Returns when this process has done its part of the save, and forgets it."""
        assert self._pending is not None
        begun = time.monotonic()
        (_, written), self._pending = self._pending, None
        try:
            written.result()
        finally:
            self.stalled += time.monotonic() - begun

    def _problem(self, path: Path, step: int) -> str | None:
        """What the first process that finds something wrong has to say, on all of them."""
        files = by_first(self._processes, lambda: manifest_of(path, step))
        if isinstance(files, str):
            return files
        found = gathered(self._processes, files_problem(path, files, self._processes.rank, self._processes.size))
        return next((problem for problem in found if problem is not None), None)
