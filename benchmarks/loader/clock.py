"""One run in a process of its own: images in a second, and the processor time of all its processes."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.loader.cases import Job
from m3i_dsl.data import stream as streams


@dataclass(frozen=True, slots=True)
class Measured:
    """Images in a second of the clock, and milliseconds of all processors for an image."""

    rate: float
    processor: float


def measured(candidate: Callable[[Job], Iterator[int]], job: Job) -> Measured:
    """One run. Processor time is that of all processes while the clock runs, which other load on the machine disturbs
    least (Linux only).
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(candidate, job, sender))
    process.start()
    sender.close()
    try:
        return Measured(*receiver.recv())
    except EOFError as error:
        raise RuntimeError(f"{candidate.__name__} failed") from error
    finally:
        process.join()


def _measure(candidate: Callable[[Job], Iterator[int]], job: Job, sender: Any) -> None:
    torch.set_num_threads(1)
    streams.MEMORY = 0  # or m3ic would keep decoded images, and not decode them again
    run = candidate(job)
    next(run)
    used, start = _processor(), time.perf_counter()
    images = next(run)
    seconds, used = time.perf_counter() - start, _processor() - used
    for _ in run:
        pass
    sender.send((images / seconds, 1e3 * used / images))


def _processor() -> float:
    """Seconds of processors that this process and its children have used, the running ones too."""
    running = multiprocessing.active_children()  # those that have ended are counted with this process from here on
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    for process in running:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds
