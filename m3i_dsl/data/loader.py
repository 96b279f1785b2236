"""Decoding and tokenising, here or in worker processes.

Takes: the sources in use with their orders, and steps. Gives: for each step the decoded chunks of its batch, in row
order. Guarantees: what a chunk holds is a function of the step and its rows alone; a broken sample is replaced by the
next one in the order, so the batch keeps its size; torch's global random state is not touched; a worker that dies ends
the iteration with `WorkerDied`, at once or within seconds.
"""

from __future__ import annotations

import atexit
import signal
import threading
import warnings
import weakref
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from m3i_dsl.data.batch import Broken
from m3i_dsl.data.order import Order
from m3i_dsl.data.sources import SourceFault
from m3i_dsl.semantics.pattern import Pattern
from m3i_dsl.vocabulary.kinds import BrokenSample, Sample, TextEncoder, WordError
from m3i_dsl.vocabulary.kinds import Dataset as Source

CHUNK = 64
"""Rows that a worker decodes at a time: small enough for many workers to share one batch."""

BATCHES_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Feed:
    """One source in use: the fields that are needed, and the token inputs by name with the encoders that tokenise.

    `batch` rows of every batch are of it: all, or those that the `pattern` of a mixture gives it.
    """

    data: str
    source: Source
    order: Order
    fields: frozenset[str]
    tokens: tuple[tuple[str, TextEncoder], ...]
    batch: int
    pattern: Pattern | None = None

    def own(self, row: int) -> int:
        """How many of the first `row` rows of a batch are of this source."""
        return row if self.pattern is None else self.pattern.own(self.data, row)


@dataclass(slots=True, eq=False)
class Part:
    """The decoded rows of one source in a chunk, R of them; none when a chunk is of other sources of a mixture.

    `samples` int64 [R] on the host; `images` uint8 [R, H, W, 3], `sizes` int64 [R, 2] as stored, `categories` int64
    [R] and `tokens` int64 [R, T] by input name, where asked for.
    """

    samples: NDArray[np.int64]
    epoch: int
    images: torch.Tensor | None
    sizes: NDArray[np.int64]
    categories: torch.Tensor | None
    tokens: dict[str, torch.Tensor]
    broken: tuple[Broken, ...]

    def pin_memory(self) -> Part:
        """Called by torch's DataLoader, so that copies to the device run beside computation."""
        self.images = self.images if self.images is None else self.images.pin_memory()
        self.categories = self.categories if self.categories is None else self.categories.pin_memory()
        self.tokens = {name: tokens.pin_memory() for name, tokens in self.tokens.items()}
        return self


Chunk = tuple[Part, ...]
"""A part for each feed, in their order."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A source that cannot be read any more, told across processes."""

    data: str
    message: str
    help: str | None


Rows = tuple[int, int, int]
"""(step, first row, end row)."""


class Unusable(Exception):
    """Every sample of a source is broken."""


class WorkerDied(Exception):
    """A process that decodes is gone, by a signal or for want of memory."""


class Decoder(Dataset[Chunk | Failed]):
    """Random access to chunks, for torch's DataLoader."""

    def __init__(self, feeds: tuple[Feed, ...], batch: int, rows: range, base: Path) -> None:
        """`rows` are those of this process, of the `batch` of all."""
        self.feeds, self.batch, self.rows, self.base = feeds, batch, rows, base

    def __getitem__(self, rows: Rows) -> Chunk | Failed:
        parts: list[Part] = []
        for feed in self.feeds:
            try:
                parts.append(self._part(feed, rows))
            except Unusable as fault:
                return Failed(feed.data, f"no sample of data `{feed.data}` can be read", f"such as {fault}")
            except WordError as fault:
                return Failed(feed.data, fault.message, fault.help)
        return tuple(parts)

    def _part(self, feed: Feed, rows: Rows) -> Part:
        step, first, end = rows
        whole = feed.order.batch_positions(step, feed.batch)
        positions = whole[feed.own(first) : feed.own(end)]
        epochs, ids = feed.order.at(positions if len(positions) else whole[:1])
        ids = ids[: len(positions)]
        broken: list[Broken] = []
        read = [
            self._read(feed, int(position), int(sample), broken)
            for position, sample in zip(positions, ids, strict=True)
        ]
        samples = [sample for _, sample in read]
        images = [sample.image for sample in samples if sample.image is not None]
        categories = [sample.category for sample in samples if sample.category is not None]
        texts = [sample.text for sample in samples if sample.text is not None]
        return Part(
            samples=np.array([identity for identity, _ in read], dtype=np.int64),
            epoch=int(epochs[0]),
            # In a worker this writes into shared memory, the only copy on the way to the training process.
            images=default_collate([torch.from_numpy(image) for image in images]) if images else None,
            sizes=np.array([s.size for s in samples if s.size is not None], dtype=np.int64).reshape(-1, 2),
            categories=torch.tensor(categories, dtype=torch.int64) if categories else None,
            tokens={name: self._tokens(encoder, texts) for name, encoder in feed.tokens},
            broken=tuple(broken),
        )

    def _tokens(self, encoder: TextEncoder, texts: list[str]) -> torch.Tensor:
        if not texts:
            return torch.empty(0, encoder.context, dtype=torch.int64)
        return torch.from_numpy(encoder.tokenize(texts, self.base))

    def _read(self, feed: Feed, position: int, sample: int, broken: list[Broken]) -> tuple[int, Sample]:
        """The sample, or the first one after it that can be read; what was skipped is added to `broken`."""
        substitutes = feed.order.substitutes(position, feed.batch)
        while True:
            try:
                return sample, feed.source.read(sample, feed.fields)
            except BrokenSample as fault:
                broken.append(Broken(feed.data, fault.name, fault.reason))
            following = next(substitutes, None)
            if following is None:
                raise Unusable(str(broken[0]))
            sample = int(feed.order.at(np.array([following]))[1][0])


def chunks(decoder: Decoder, start: int, stop: int, workers: int, pinned: bool) -> Generator[list[Chunk]]:
    """The chunks of each step from `start` to `stop - 1`. With workers, decoding runs ahead by a few batches."""
    if workers == 0:
        for step in range(start, stop):
            yield [_whole(decoder[step, decoder.rows.start, decoder.rows.stop])]
        return
    per_batch = -(-len(decoder.rows) // CHUNK)
    with warnings.catch_warnings():
        # That there are more workers than cores: how many is for the user to say, who sees how long data is waited for.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        on_death = signal.getsignal(signal.SIGCHLD)
        decoded = iter(_loader(decoder, start, stop, workers, pinned))
    if threading.current_thread() is threading.main_thread():
        # Torch would raise wherever the training process happens to be, such as within a checkpoint.
        signal.signal(signal.SIGCHLD, on_death or signal.SIG_DFL)
    _running.add(decoded)
    try:
        for _ in range(start, stop):
            yield [_whole(_next(decoded)) for _ in range(per_batch)]
    finally:
        _end_workers(decoded)


def _loader(decoder: Decoder, start: int, stop: int, workers: int, pinned: bool) -> DataLoader[Any]:
    per_batch = -(-len(decoder.rows) // CHUNK)
    return DataLoader(
        decoder,
        batch_size=None,
        sampler=_Rows(start, stop, decoder.rows),
        num_workers=workers,
        collate_fn=_as_is,
        pin_memory=pinned,
        prefetch_factor=max(2, -(-BATCHES_AHEAD * per_batch // workers)),
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # seeds workers from here, not from the global state that dropout draws from
    )


def _next(decoded: Any) -> Chunk | Failed:
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


def _whole(chunk: Chunk | Failed) -> Chunk:
    if isinstance(chunk, Failed):
        raise SourceFault(chunk.data, chunk.message, help=chunk.help)
    return chunk


class _Rows(Sampler[Rows]):
    """The chunks of all steps, in order."""

    def __init__(self, start: int, stop: int, rows: range) -> None:
        self.start, self.stop, self.rows = start, stop, rows

    def __iter__(self) -> Iterator[Rows]:
        for step in range(self.start, self.stop):
            for first in self.rows[::CHUNK]:
                yield step, first, min(first + CHUNK, self.rows.stop)


def _as_is(chunk: Any) -> Any:
    return chunk


def _start_worker(_: int) -> None:
    """Workers outlive the signals that ask training to stop: it needs them to finish its step. They end with their
    parent, which torch's loader watches.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
