"""Processes that run some functions together, one after the other.

Takes: functions of a module, with their arguments. Gives: what each returned on rank 0, as soon as it is known.
Guarantees: the process groups are those of `m3ic train` (NCCL where there is a GPU for each process, gloo elsewhere);
every process has the same number of threads; when a function fails on a rank, its processes end, the failure takes the
place of its result, and new processes go on with the next function.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from m3i_dsl.runtime.distributed.environment import ProcessPlace
from m3i_dsl.runtime.distributed.group import processes

TIMEOUT = timedelta(minutes=3)
"""For one collective: that a rank has failed is known long before."""


@dataclass(frozen=True, slots=True)
class Task:
    """`function(processes, *arguments)`; all of it must be picklable, and the result small."""

    function: Callable[..., object]
    arguments: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no result: the last line of the traceback of the rank that failed first."""

    why: str


def run(tasks: Sequence[Task], size: int, threads: int = 1) -> Iterator[Any]:
    """The result of each of `tasks` on `size` processes, or Failed, in their order."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # read when torch is loaded
        os.environ[name] = str(threads)
    done = 0
    while done < len(tasks):
        results = multiprocessing.get_context("spawn").SimpleQueue()
        context: Any = start_processes(
            _member,
            (size, _free_port(), threads, results, tasks[done:]),
            nprocs=size,
            join=False,
            start_method="spawn",
        )
        ended = False
        failure: Failed | None = None
        while not ended:
            try:
                ended = context.join(timeout=0.2)
            except (ProcessRaisedException, ProcessExitedException) as problem:
                ended, failure = True, Failed(str(problem).strip().splitlines()[-1])
            while not results.empty():
                done += 1
                yield results.get()
        if failure is None and done < len(tasks):
            failure = Failed("the processes ended without a word")
        if failure is not None and done < len(tasks):
            done += 1
            yield failure


def device_for(size: int) -> torch.device:
    """A GPU for each of `size` processes, or none for any."""
    return torch.device("cuda" if torch.cuda.device_count() >= size else "cpu")


def _member(rank: int, size: int, port: int, threads: int, results: Any, tasks: Sequence[Task]) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(threads)
    with processes(ProcessPlace(rank, size, rank, size), device_for(size), TIMEOUT) as members:
        for task in tasks:
            result = task.function(members, *task.arguments)
            dist.barrier(members.control)  # a rank that fails later than the first one returns must be blamed, too
            if members.first:
                results.put(result)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
