"""The stream: the batch of every step as a pure function of the step.

Takes: the typed program and the inputs of its graph. Gives: for each step the tensors of those inputs, on the device.
Guarantees: only sources and fields that an input needs are opened and decoded; a batch has the same bits whatever the
number of workers, the prefetch and the step at which the stream was entered; the stream itself has no state to save.

Sources of different sizes run through epochs of their own, and so does each source of a mixture, which has its rows of
every batch.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from m3i_dsl.data.assemble import Assembler, DecodedParts, cuts_of
from m3i_dsl.data.batch import Batch, Broken, BrokenLog
from m3i_dsl.data.decoding import Chunk, Collated, Feed, SampleDecoder
from m3i_dsl.data.limits import BrokenLimit, unusable, worker_died
from m3i_dsl.data.loader import WorkerDied, decoded
from m3i_dsl.data.reading import Reading, labels_of, readings_of
from m3i_dsl.data.remembered import Remembered
from m3i_dsl.data.sample_log import SampleLog, log_path
from m3i_dsl.data.sharded_order import order_of
from m3i_dsl.data.share import check_share, rows_of
from m3i_dsl.data.sources import SourceFault, check_batch, open_sources
from m3i_dsl.ir.inputs import BatchInput, FieldInput
from m3i_dsl.modules.rows import interleaved
from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.draws import key_of
from m3i_dsl.vocabulary.kinds import Dataset

MEMORY = 256 * 2**20
"""Bytes of decoded images kept in memory, by all processes together."""


class Stream:
    """The batches of `program`. `broken` is the log of the samples skipped so far by this stream."""

    def __init__(
        self,
        program: Program,
        inputs: Sequence[BatchInput],
        *,
        base: Path,
        device: torch.device | str = "cpu",
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        max_broken: float = 1.0,
        sample_log: Path | None = None,
    ) -> None:
        """Opens the sources; paths are relative to `base`. Raises SourceFault, and RecipeError (M3I0520).

        Without workers decoding happens in this process, when a batch is asked for. Of `world` processes that of
        `rank` makes only its own rows of every batch, the same ones as in the batch of a single process. `max_broken`
        is the share of broken samples among those met that ends the stream; `sample_log` a file that gets the samples
        of each batch (one for each of several processes, with the rank as suffix).
        """
        check_share(program, world)
        self.program, self.inputs, self.workers = program, tuple(inputs), workers
        self.device = torch.device(device)
        self.broken = BrokenLog()
        self.batch = program.training.batch
        readings = readings_of(program, inputs)
        self.sources: dict[str, Dataset] = open_sources(program, dict.fromkeys(r.source for r in readings), base)
        for reading in readings:
            check_batch(reading.source, len(self.sources[reading.source]), reading.batch)
        feeds = tuple(self._feed(reading) for reading in readings)
        self._readings = readings
        self._assembler = Assembler(program, inputs, labels_of(program, inputs, base), self.device, base)
        self._decoder = SampleDecoder(feeds, self.batch, rows_of(self.batch, rank, world), base)
        self._limit = BrokenLimit(max_broken)
        self._log = None
        if sample_log is not None:
            self._log = SampleLog(log_path(sample_log, rank, world), self._decoder.rows.start)

    @property
    def steps_per_epoch(self) -> int:
        """Steps after which every source has been seen once, but for what is left of it over whole batches.

        Of one source, or several that are read side by side, those of the largest; of a mixture those of the source
        with the most samples for its share.
        """
        return max(feed.order.steps_per_epoch(feed.batch) for feed in self._decoder.feeds)

    def batch_at(self, step: int) -> Batch:
        """The batch of one step, decoded in this process."""
        return next(self._batches(decoded(self._decoder, step, step + 1, 0), step))

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps `start` .. `stop - 1`, in order."""
        return self._batches(self.decoded(start, stop), start)

    def decoded(self, start: int, stop: int) -> Generator[Chunk]:
        """The batches of steps `start` .. `stop - 1` as they come from the workers. Images are valid until the next one
        is asked for.
        """
        return decoded(self._decoder, start, stop, self.workers)

    def _batches(self, loaded: Generator[Chunk], start: int) -> Iterator[Batch]:
        with closing(loaded):  # its workers end when this does, however that is
            for step in itertools.count(start):
                asked = time.perf_counter()
                try:
                    ready = next(loaded, None)
                except WorkerDied as death:
                    raise worker_died(self.program, death) from death
                except SourceFault as fault:
                    raise unusable(self.program, fault) from fault
                if ready is None:
                    return
                batch = self._assembled(step, ready, time.perf_counter() - asked)
                self._limit.check(self.program, self.broken, batch)
                if self._log is not None:
                    self._log.write(batch)
                yield batch

    def _feed(self, reading: Reading) -> Feed:
        modalities = self.program.data[reading.source].fields
        collated = tuple(
            Collated(i.name, i.field, i.modality, None if i.by is None else self.program.encoders[i.by].word.word)
            for i in self.inputs
            if isinstance(i, FieldInput) and i.data == reading.data and i.field in reading.fields
        )
        read = {name: modalities[name] for name in sorted(reading.fields)}
        dataset, seed = self.sources[reading.source], self.program.seed
        if reading.pattern is not None:
            # Sources of equal size are not to go in step: they may be of the same images.
            seed = key_of(f"{seed}\0{reading.data}\0{reading.source}")
        order = order_of(seed, len(dataset), dataset.shards(), reading.batch)
        source = Remembered(dataset, read, MEMORY // (max(1, self.workers) * len(self.sources)))
        shown = tuple(name for name, modality in read.items() if modality.views)
        size = dataset.image_size()
        return Feed(
            data=reading.source,
            source=source,
            order=order,
            shown=shown,
            cuts=cuts_of(self.program, self.inputs, reading) if size is None else (),
            size=size,
            collated=collated,
            batch=reading.batch,
            seed=self.program.training.seed,
            pattern=reading.pattern,
        )

    def _assembled(self, step: int, ready: Chunk, wait: float) -> Batch:
        parts = {(reading.data, reading.source): part for reading, part in zip(self._readings, ready, strict=True)}
        broken = tuple(fault for part in parts.values() for fault in part.broken)
        new: tuple[Broken, ...] = tuple(fault for fault in broken if self.broken.add(fault))
        return Batch(step, step // self.steps_per_epoch, self._samples(parts), self._assembler(parts), wait, new)

    def _samples(self, parts: DecodedParts) -> NDArray[np.int64]:
        """The samples of the data with the most, numbered on through the sources of a mixture."""
        sizes: dict[str, int] = {}
        numbered: dict[str, list[torch.Tensor]] = {}
        counts: dict[str, list[int]] = {}
        for reading in self._readings:
            before = sizes.get(reading.data, 0)
            part = parts[reading.data, reading.source]
            numbered.setdefault(reading.data, []).append(torch.from_numpy(part.samples + before))
            counts.setdefault(reading.data, []).append(reading.rows)
            sizes[reading.data] = before + len(self.sources[reading.source])
        main = max(sizes, key=lambda name: sizes[name])
        return interleaved(numbered[main], counts[main]).numpy()
