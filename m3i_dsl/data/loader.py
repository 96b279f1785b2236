"""Decoding here or in worker processes.

Takes: a decoder, and steps. Gives: for each step its batch, decoded. Guarantees: the same
bits whatever the number of workers; torch's global random state is not touched; a worker that dies ends the iteration
with `WorkerDied`, at once or within seconds; workers end with the iteration, or with this process.
"""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import threading
import traceback
import warnings
import weakref
from collections.abc import Generator
from typing import Any

import torch
from torch.utils.data import DataLoader, dataloader

from m3i_dsl.data.decoding import Chunk, Decoder, DecodingFailed, joined
from m3i_dsl.data.slots import Slots, Tasks
from m3i_dsl.data.sources import Exhausted, SourceFault

CHUNK = 64
"""Rows that a worker decodes at a time: small enough for many workers to share one batch."""

BATCHES_AHEAD = 2


class WorkerDied(Exception):
    """A process that decodes is gone, by a signal or for want of memory, or could not be started."""


def decoded(decoder: Decoder, start: int, stop: int, workers: int) -> Generator[Chunk]:
    """The batch of each step from `start` to `stop - 1`. With workers, decoding runs ahead by a few batches. Images are
    valid until the next step is asked for.
    """
    if workers == 0:
        slots = Slots(decoder, 1, shared=False)
        for step in range(start, stop):
            yield _in_slots([_whole(slots[step, decoder.rows.start, decoder.rows.stop])], slots.of(step))
        return
    per_batch = -(-len(decoder.rows) // CHUNK)
    prefetch = max(2, -(-BATCHES_AHEAD * per_batch // workers))
    # One is in use, and the chunks that workers have or have done may be of all the others.
    slots = Slots(decoder, 1 + -(-prefetch * workers // per_batch), shared=True)
    tasks = Tasks(start, stop, decoder.rows, CHUNK, slots.count)
    with warnings.catch_warnings():
        # That there are more workers than cores: how many is for the user to say, who sees how long data is waited for.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        on_death = signal.getsignal(signal.SIGCHLD)
        loaded = _started(_loader(slots, tasks, workers, prefetch))
    if threading.current_thread() is threading.main_thread():
        # Torch would raise wherever the training process happens to be, such as within a checkpoint.
        signal.signal(signal.SIGCHLD, on_death or signal.SIG_DFL)
    _running.add(loaded)
    try:
        for step in range(start, stop):
            tasks.wanted = step
            yield _in_slots([_whole(_next(loaded)) for _ in range(per_batch)], slots.of(step))
    finally:
        _end_workers(loaded)


def _in_slots(ready: list[Chunk], images: list[dict[str, torch.Tensor]]) -> Chunk:
    """The batch as one chunk, with the images that were put into its slot."""
    return tuple(joined(parts, slot) for parts, slot in zip(zip(*ready, strict=True), images, strict=True))


def _loader(slots: Slots, tasks: Tasks, workers: int, prefetch: int) -> DataLoader[Any]:
    return DataLoader(
        slots,
        batch_size=None,
        sampler=tasks,
        num_workers=workers,
        collate_fn=_as_is,
        prefetch_factor=prefetch,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # seeds workers from here, not from the global state that dropout draws from
    )


def _started(loader: DataLoader[Any]) -> Any:
    """Its iterator, with all workers. Raises WorkerDied when the system gives no more of them."""
    before = set(multiprocessing.active_children())
    try:
        return iter(loader)
    except OSError as error:
        for worker in set(multiprocessing.active_children()) - before:
            worker.kill()  # they ignore SIGTERM, and nobody would end them
            worker.join()
        for frame, _ in traceback.walk_tb(error.__traceback__):
            half = frame.f_locals.get("self")
            if isinstance(half, dataloader._BaseDataLoaderIter):  # pyright: ignore[reportPrivateUsage]
                vars(half)["_shutdown"] = True  # or torch would print a traceback when it is collected
        raise WorkerDied(f"it could not be started: {error.strerror or error}") from error


def _next(decoded: Any) -> Chunk | DecodingFailed:
    """The next chunk. Raises WorkerDied."""
    dead = [worker for worker in decoded._workers if not worker.is_alive()]
    # Workers that have delivered all their chunks end by themselves, with 0.
    if any(worker.exitcode for worker in dead):
        raise WorkerDied(_deaths(dead))
    try:
        return next(decoded)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise WorkerDied(_deaths([w for w in decoded._workers if not w.is_alive()]) or str(error)) from error


def _deaths(workers: list[Any]) -> str:
    found: list[str] = []
    for worker in workers:
        code = worker.exitcode or 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        found.append(f"process {worker.pid}: {how}")
    return ", ".join(found)


_running: weakref.WeakSet[Any] = weakref.WeakSet()
"""The iterators whose workers may still run."""


def _end_workers(decoded: Any) -> None:
    """Ends the workers now: torch would wait until its iterator is collected, which a traceback can put off."""
    _running.discard(decoded)
    decoded._shutdown_workers()


@atexit.register
def _end_all_workers() -> None:
    """At exit multiprocessing sends SIGTERM, which workers ignore, and waits: they must have ended before."""
    for decoded in list(_running):
        _end_workers(decoded)


def _whole(chunk: Chunk | DecodingFailed) -> Chunk:
    if isinstance(chunk, DecodingFailed):
        kind = Exhausted if chunk.exhausted else SourceFault
        raise kind(chunk.data, chunk.message, help=chunk.help)
    return chunk


def _as_is(chunk: Any) -> Any:
    return chunk


def _start_worker(_: int) -> None:
    """Workers outlive the signals that ask training to stop, which schedulers send to every process of a job: training
    needs them to finish its step. They end with their parent, which torch's loader watches.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
