"""Persistent gloo processes for tests: started once per session, they run one module-level function after another.

Takes: a function and its arguments. Gives: what each rank returned. Guarantees: every rank has one thread and a fresh
process group whenever the number of processes changes or a run failed; a failure shows the traceback of the rank that
failed; a hang ends within `TIMEOUT` seconds and shows where every rank stands; processes leave at a barrier.
A test module that uses it has `pytestmark = ONE_WORKER`, so that one xdist worker owns the processes.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, TypeVar

import pytest

ONE_WORKER = pytest.mark.xdist_group("processes")

TIMEOUT = 60.0
"""Seconds for one function, and for a process to start and import torch."""

GRACE = 2.0
"""Seconds that the other ranks have, after one failed, to return or to fail as well."""

READY = "ready"
T = TypeVar("T")


class RemoteFailure(AssertionError):
    """The function failed on a rank; the notes are the tracebacks there."""


@dataclass(frozen=True, slots=True)
class _Task:
    """`meeting` names a file of its own for each process group; the group changes when the name does."""

    function: Callable[..., object]
    arguments: tuple[object, ...]
    rank: int
    size: int
    meeting: str
    seconds: float
    stacks: str


@dataclass(frozen=True, slots=True)
class _Answer:
    failed: bool
    value: Any
    """What the function returned, or its traceback."""


class _Pool:
    """Some processes; `run` starts those that are missing."""

    def __init__(self) -> None:
        self._members: list[tuple[SpawnProcess, Connection]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="m3ic-processes-")
        self._meeting: tuple[int, str] | None = None
        self._groups = 0

    def run(self, function: Callable[..., T], arguments: tuple[object, ...], size: int, seconds: float) -> list[T]:
        new = [_started() for _ in range(size - len(self._members))]
        for process, connection in new:
            self._members.append((process, connection))
            if not connection.poll(TIMEOUT) or connection.recv() != READY:
                raise RuntimeError(f"a process did not start in {TIMEOUT:g} s")
        members = self._members[:size]
        meeting = self._meeting_of(size)
        stacks = [str(Path(self._folder.name, f"stack-{rank}")) for rank in range(size)]
        for rank, (_, connection) in enumerate(members):
            task = _Task(function, arguments, rank, size, meeting, seconds, stacks[rank])
            try:
                connection.send(task)
            except OSError:
                break  # it is gone, which `_answers` will tell
        answers = self._answers(members, seconds, stacks)
        failures = [(rank, answer) for rank, answer in enumerate(answers) if answer.failed]
        if failures:
            self._meeting = None
            raise _failure(failures, size)
        return [answer.value for answer in answers]

    def close(self) -> None:
        """Lets every process leave; ends those that do not within ten seconds."""
        for _, connection in self._members:
            with contextlib.suppress(OSError):
                connection.send(None)
        deadline = time.monotonic() + 10
        for process, connection in self._members:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            connection.close()
            process.close()
        self._members.clear()
        self._meeting = None

    def remove(self) -> None:
        """Closes it for good."""
        self.close()
        self._folder.cleanup()

    def _meeting_of(self, size: int) -> str:
        if self._meeting is None or self._meeting[0] != size:
            self._groups += 1
            self._meeting = (size, str(Path(self._folder.name, f"group-{self._groups}")))
        return self._meeting[1]

    def _answers(
        self, members: Sequence[tuple[SpawnProcess, Connection]], seconds: float, stacks: Sequence[str]
    ) -> list[_Answer]:
        """One for each rank; a rank that ends or never answers has failed, and then all processes are ended."""
        found: dict[int, _Answer] = {}
        deadline = time.monotonic() + seconds
        while len(found) < len(members):
            open_ = {connection: rank for rank, (_, connection) in enumerate(members) if rank not in found}
            ready = wait(list(open_), max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            for connection in ready:
                assert isinstance(connection, Connection)
                rank = open_[connection]
                try:
                    found[rank] = connection.recv()
                except (EOFError, OSError):
                    process = members[rank][0]
                    process.join(GRACE)
                    found[rank] = _Answer(True, f"the process ended with code {process.exitcode}\n")
                if found[rank].failed:
                    deadline = min(deadline, time.monotonic() + GRACE)
        missing = [rank for rank in range(len(members)) if rank not in found]
        gone = any(not process.is_alive() for process, _ in members)
        first = not any(answer.failed for answer in found.values())
        if missing or gone:
            for process, _ in self._members:
                process.kill()
            self.close()
        for rank in missing:
            stack = Path(stacks[rank])
            where = stack.read_text(encoding="utf-8") if first and stack.exists() else ""
            found[rank] = _Answer(True, f"no answer in {seconds:g} s\n{where}" if first else "still waiting\n")
        return [found[rank] for rank in range(len(members))]


def run(function: Callable[..., T], *arguments: object, processes: int = 2, seconds: float = TIMEOUT) -> list[T]:
    """What `function(*arguments)` returns on each of `processes` ranks of a gloo group, in rank order.

    `function` is a module's own, and what goes in and out must be picklable: tensors as they are on the CPU. Raises
    RemoteFailure when a rank raises, ends, or does not return within `seconds`.
    """
    return _pool().run(function, arguments, processes, seconds)


_POOLS: list[_Pool] = []


def _pool() -> _Pool:
    if not _POOLS:
        _POOLS.append(_Pool())
        atexit.register(_POOLS[0].remove)
    return _POOLS[0]


def _failure(failures: Sequence[tuple[int, _Answer]], size: int) -> RemoteFailure:
    ranks = ", ".join(str(rank) for rank, _ in failures)
    last = str(failures[0][1].value).strip().splitlines()[-1]
    failure = RemoteFailure(f"rank {ranks} of {size}: {last}")
    for rank, answer in failures:
        failure.add_note(f"--- rank {rank}\n{answer.value}")
    return failure


def _started() -> tuple[SpawnProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    with _environment(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1"):
        process.start()
    theirs.close()
    return process, ours


@contextlib.contextmanager
def _environment(**values: str) -> Generator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# --- in the processes -------------------------------------------------------------------------------------------------


def _serve(connection: Connection) -> None:
    """Runs tasks until there is no more; the other side closing the pipe is the end as well."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    connection.send(READY)
    meeting: str | None = None
    while True:
        try:
            task: _Task | None = connection.recv()
        except (EOFError, OSError):
            break
        except Exception:
            # A function that cannot be imported here.
            connection.send(_Answer(True, traceback.format_exc()))
            continue
        if task is None:
            break
        with open(task.stacks, "w", encoding="utf-8") as stacks:
            faulthandler.dump_traceback_later(max(1.0, task.seconds - 1), file=stacks)
            try:
                if meeting != task.meeting:
                    if dist.is_initialized():
                        dist.destroy_process_group()
                    meeting = task.meeting
                    store = dist.FileStore(task.meeting, task.size)
                    wait_ = timedelta(seconds=task.seconds)
                    dist.init_process_group("gloo", store=store, rank=task.rank, world_size=task.size, timeout=wait_)
                answer = _Answer(False, task.function(*task.arguments))
            except BaseException:
                answer = _Answer(True, traceback.format_exc())
                # The ranks that wait for this one fail now, and not after the timeout.
                if dist.is_initialized():
                    dist.destroy_process_group()
                meeting = None
            finally:
                faulthandler.cancel_dump_traceback_later()
        try:
            connection.send(answer)
        except Exception:
            connection.send(_Answer(True, traceback.format_exc()))
    # Ranks of the same group meet before they leave: gloo aborts a process whose peers vanish. One that was left out
    # of the newest group, or whose peers were ended, has nobody to meet.
    with contextlib.suppress(RuntimeError):
        if dist.is_initialized():
            dist.monitored_barrier(timeout=timedelta(seconds=2))
            dist.destroy_process_group()
    sys.stdout.flush()
