"""The stream: the batch of every step as a pure function of the step.

Takes: the typed program and the inputs of its graph. Gives: for each step the tensors of those inputs, on the device.
Guarantees: only sources and fields that an input needs are opened and decoded; a batch has the same bits whatever the
number of workers, the prefetch and the step at which the stream was entered; the stream itself has no state to save.

Sources of different sizes run through epochs of their own; an epoch of training is one of the largest source in use.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from m3i_dsl.data.batch import Batch, Broken, BrokenLog
from m3i_dsl.data.loader import Chunk, Decoder, Feed, Part, chunks
from m3i_dsl.data.remembered import Remembered
from m3i_dsl.data.sharded_order import order_of
from m3i_dsl.data.share import check_share, rows_of
from m3i_dsl.data.sources import check_batch, open_sources
from m3i_dsl.data.transfer import on_device
from m3i_dsl.data.views import render_view
from m3i_dsl.ir.inputs import BatchInput, CategoryInput, GeometryInput, MaskInput, TextInput, ViewInput
from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import Dataset, TextEncoder

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
    ) -> None:
        """Opens the sources; paths are relative to `base`. Raises SourceFault, and RecipeError (M3I0520).

        Without workers decoding happens in this process, when a batch is asked for. Of `world` processes that of
        `rank` makes only its own rows of every batch, the same ones as in the batch of a single process.
        """
        check_share(program, world)
        self.program, self.inputs, self.workers = program, tuple(inputs), workers
        self.device = torch.device(device)
        self.broken = BrokenLog()
        self.batch = program.training.batch
        needs = fields_needed(program, inputs)
        self.sources: dict[str, Dataset] = open_sources(program, needs, base)
        for name, source in self.sources.items():
            check_batch(name, len(source), self.batch)
        self.orders = {
            name: order_of(program.training.seed, len(source), source.shards(), self.batch)
            for name, source in self.sources.items()
        }
        self.largest = max(self.sources, key=lambda name: len(self.sources[name]))
        feeds = tuple(self._feed(name, fields) for name, fields in needs.items())
        self._decoder = Decoder(feeds, self.batch, rows_of(self.batch, rank, world), base)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of the largest source; its last `samples mod batch` samples of each epoch are dropped."""
        return self.orders[self.largest].steps_per_epoch(self.batch)

    def batch_at(self, step: int) -> Batch:
        """The batch of one step, decoded in this process."""
        return next(self._batches(chunks(self._decoder, step, step + 1, 0, False), step))

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps `start` .. `stop - 1`, in order."""
        decoded = chunks(self._decoder, start, stop, self.workers, self.device.type == "cuda")
        return self._batches(decoded, start)

    def _batches(self, decoded: Iterator[list[Chunk]], start: int) -> Iterator[Batch]:
        for step in itertools.count(start):
            asked = time.perf_counter()
            ready = next(decoded, None)
            if ready is None:
                return
            yield self._assembled(step, ready, time.perf_counter() - asked)

    def _feed(self, name: str, fields: frozenset[str]) -> Feed:
        tokens: list[tuple[str, TextEncoder]] = []
        for input_ in self.inputs:
            if isinstance(input_, TextInput) and input_.data == name:
                encoder = self.program.encoders[input_.encoder].word.word
                assert isinstance(encoder, TextEncoder)
                tokens.append((input_.name, encoder))
        source = Remembered(self.sources[name], fields, MEMORY // (max(1, self.workers) * len(self.sources)))
        return Feed(name, source, self.orders[name], fields, tuple(tokens))

    def _assembled(self, step: int, ready: list[Chunk], wait: float) -> Batch:
        feeds = [feed.data for feed in self._decoder.feeds]
        parts = {name: _joined([chunk[place] for chunk in ready], self.device) for place, name in enumerate(feeds)}
        broken = tuple(fault for part in parts.values() for fault in part.broken)
        new: tuple[Broken, ...] = tuple(fault for fault in broken if self.broken.add(fault))
        main = parts[self.largest]
        return Batch(step, main.epoch, main.samples, self._inputs(parts), wait, new)

    def _inputs(self, parts: dict[str, Part]) -> dict[str, torch.Tensor]:
        images = {
            name: part.images.permute(0, 3, 1, 2).contiguous()
            for name, part in parts.items()
            if part.images is not None
        }
        views: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for name in dict.fromkeys(i.view for i in self.inputs if isinstance(i, ViewInput | GeometryInput)):
            view = self.program.views[name]
            part = parts[view.data.name]
            views[name] = render_view(view, images[view.data.name], part.sizes, self._draws(part, name))
        return {i.name: self._input(i, parts, views) for i in self.inputs}

    def _input(
        self, input_: BatchInput, parts: dict[str, Part], views: dict[str, tuple[torch.Tensor, torch.Tensor]]
    ) -> torch.Tensor:
        match input_:
            case ViewInput(view=view):
                return views[view][0]
            case GeometryInput(view=view):
                return views[view][1]
            case MaskInput():
                part = parts[self.program.views[input_.view].data.name]
                hidden = input_.mask.sample(self._draws(part, input_.slot), input_.grid, input_.stride)
                return on_device(hidden, self.device)
            case TextInput(name=name, data=data):
                return parts[data].tokens[name]
            case CategoryInput(data=data):
                categories = parts[data].categories
                assert categories is not None
                return categories

    def _draws(self, part: Part, slot: str) -> Draws:
        return Draws(self.program.training.seed, part.epoch, part.samples, slot)


def fields_needed(program: Program, inputs: Sequence[BatchInput]) -> dict[str, frozenset[str]]:
    """The fields of each source that some input needs, by data name, in the order of the inputs."""
    needs: dict[str, set[str]] = {}
    for input_ in inputs:
        match input_:
            case TextInput(data=data, field=field) | CategoryInput(data=data, field=field):
                needs.setdefault(data, set()).add(field)
            case ViewInput(view=name) | GeometryInput(view=name) | MaskInput(view=name):
                view = program.views[name]
                needs.setdefault(view.data.name, set()).add(view.field)
    return {name: frozenset(fields) for name, fields in needs.items()}


def _joined(parts: list[Part], device: torch.device) -> Part:
    """The rows of all parts, in order, on the device. Each part is copied by itself, as it is in pinned memory."""

    def moved(tensors: list[torch.Tensor]) -> torch.Tensor:
        there = [on_device(tensor, device) for tensor in tensors]
        return there[0] if len(there) == 1 else torch.cat(there)

    images = [part.images for part in parts if part.images is not None]
    categories = [part.categories for part in parts if part.categories is not None]
    return Part(
        samples=np.concatenate([part.samples for part in parts]),
        epoch=parts[0].epoch,
        images=moved(images) if images else None,
        sizes=np.concatenate([part.sizes for part in parts]),
        categories=moved(categories) if categories else None,
        tokens={name: moved([part.tokens[name] for part in parts]) for name in parts[0].tokens},
        broken=tuple(fault for part in parts for fault in part.broken),
    )
