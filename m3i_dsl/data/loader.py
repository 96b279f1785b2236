"""Decoding and tokenising, here or in worker processes.

Takes: the sources in use with their orders, and steps. Gives: for each step the decoded chunks of its batch, in row
order. Guarantees: what a chunk holds is a function of the step and its rows alone; a broken sample is replaced by the
next one in the order, so the batch keeps its size; torch's global random state is not touched.
"""

from __future__ import annotations

import atexit
import signal
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from m3i_dsl.data.batch import Broken
from m3i_dsl.data.order import Order
from m3i_dsl.data.sources import SourceFault
from m3i_dsl.vocabulary.kinds import BrokenSample, Sample, TextEncoder
from m3i_dsl.vocabulary.kinds import Dataset as Source

CHUNK = 64
"""Rows that a worker decodes at a time: small enough for many workers to share one batch."""

BATCHES_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Feed:
    """One source in use: the fields that are needed, and the token inputs by name with the encoders that tokenise."""

    data: str
    source: Source
    order: Order
    fields: frozenset[str]
    tokens: tuple[tuple[str, TextEncoder], ...]


@dataclass(slots=True, eq=False)
class Part:
    """The decoded rows of one source in a chunk, R of them.

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
    """A source that has no readable sample left, told across processes."""

    data: str
    reason: str


Rows = tuple[int, int, int]
"""(step, first row, end row)."""


class Unusable(Exception):
    """Every sample of a source is broken."""


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
                return Failed(feed.data, str(fault))
        return tuple(parts)

    def _part(self, feed: Feed, rows: Rows) -> Part:
        step, first, end = rows
        positions = feed.order.batch_positions(step, self.batch)[first:end]
        epochs, ids = feed.order.at(positions)
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
            images=torch.from_numpy(np.stack(images)) if images else None,
            sizes=np.array([sample.size for sample in samples if sample.size is not None], dtype=np.int64),
            categories=torch.tensor(categories, dtype=torch.int64) if categories else None,
            tokens={name: torch.from_numpy(encoder.tokenize(texts, self.base)) for name, encoder in feed.tokens},
            broken=tuple(broken),
        )

    def _read(self, feed: Feed, position: int, sample: int, broken: list[Broken]) -> tuple[int, Sample]:
        """The sample, or the first one after it that can be read; what was skipped is added to `broken`."""
        substitutes = feed.order.substitutes(position, self.batch)
        while True:
            try:
                return sample, feed.source.read(sample, feed.fields)
            except BrokenSample as fault:
                broken.append(Broken(feed.data, fault.name, fault.reason))
            following = next(substitutes, None)
            if following is None:
                raise Unusable(str(broken[0]))
            sample = int(feed.order.at(np.array([following]))[1][0])


def chunks(decoder: Decoder, start: int, stop: int, workers: int, pinned: bool) -> Iterator[list[Chunk]]:
    """The chunks of each step from `start` to `stop - 1`. With workers, decoding runs ahead by a few batches."""
    if workers == 0:
        for step in range(start, stop):
            yield [_whole(decoder[step, decoder.rows.start, decoder.rows.stop])]
        return
    per_batch = -(-len(decoder.rows) // CHUNK)
    loader = DataLoader(
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
    decoded = iter(loader)
    _running.add(decoded)
    try:
        for _ in range(start, stop):
            yield [_whole(next(decoded)) for _ in range(per_batch)]
    finally:
        _end_workers(decoded)


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
        raise SourceFault(chunk.data, f"no sample of data `{chunk.data}` can be read", help=f"such as {chunk.reason}")
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
