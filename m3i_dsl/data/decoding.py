"""Decoding and tokenising the rows of a chunk.

Takes: the sources in use with their orders, and a chunk's step and rows. Gives: what is read of them, decoded.
Guarantees: what a chunk holds is a function of the step and its rows alone, whoever decodes it and wherever the images
are put; a broken sample is replaced by the next one in the order, so the batch keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, default_collate

from m3i_dsl.data.batch import Broken
from m3i_dsl.data.order import Order
from m3i_dsl.data.transfer import on_device
from m3i_dsl.semantics.pattern import Pattern
from m3i_dsl.vocabulary.kinds import BrokenSample, Sample, TextEncoder, WordError
from m3i_dsl.vocabulary.kinds import Dataset as Source


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

    def __getstate__(self) -> dict[str, Any]:
        """Between processes a tensor is a file in shared memory of its own, which few numbers are not worth."""
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        state["categories"] = None if self.categories is None else self.categories.numpy()
        state["tokens"] = {name: tokens.numpy() for name, tokens in self.tokens.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.categories = None if state["categories"] is None else torch.from_numpy(state["categories"])
        self.tokens = {name: torch.from_numpy(tokens) for name, tokens in state["tokens"].items()}


def joined(parts: Sequence[Part], device: torch.device) -> Part:
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


class Decoder(Dataset[Chunk | Failed]):
    """Random access to chunks, for torch's DataLoader."""

    def __init__(self, feeds: tuple[Feed, ...], batch: int, rows: range, base: Path) -> None:
        """`rows` are those of this process, of the `batch` of all."""
        self.feeds, self.batch, self.rows, self.base = feeds, batch, rows, base

    def __getitem__(self, rows: Rows) -> Chunk | Failed:
        return self.decoded(rows, [None] * len(self.feeds))

    def own_rows(self, feed: Feed) -> int:
        """How many of the rows of this process are of one source."""
        return feed.own(self.rows.stop) - feed.own(self.rows.start)

    def decoded(self, rows: Rows, into: Sequence[NDArray[np.uint8] | None]) -> Chunk | Failed:
        """The chunk. Where `into` has an array for a feed, uint8 [own_rows, H, W, 3], the images are put there at their
        places in the batch, and not into the part.
        """
        parts: list[Part] = []
        for feed, array in zip(self.feeds, into, strict=True):
            try:
                parts.append(self._part(feed, rows, array))
            except Unusable as fault:
                return Failed(feed.data, f"no sample of data `{feed.data}` can be read", f"such as {fault}")
            except WordError as fault:
                return Failed(feed.data, fault.message, fault.help)
        return tuple(parts)

    def _part(self, feed: Feed, rows: Rows, into: NDArray[np.uint8] | None) -> Part:
        step, first, end = rows
        place = feed.own(first) - feed.own(self.rows.start)
        whole = feed.order.batch_positions(step, feed.batch)
        positions = whole[feed.own(first) : feed.own(end)]
        epochs, ids = feed.order.at(positions if len(positions) else whole[:1])
        ids = ids[: len(positions)].copy()
        broken: list[Broken] = []
        images: list[NDArray[np.uint8]] = []
        sizes: list[tuple[int, int]] = []
        categories: list[int] = []
        texts: list[str] = []
        for row, position in enumerate(positions.tolist()):
            ids[row], sample = self._read(feed, position, int(ids[row]), broken)
            if sample.image is not None and into is not None:
                # At once, while the image is in the processor's cache, and its memory serves the next one.
                _put(sample.image, into[place + row])
            elif sample.image is not None:
                images.append(sample.image)
            if sample.size is not None:
                sizes.append(sample.size)
            if sample.category is not None:
                categories.append(sample.category)
            if sample.text is not None:
                texts.append(sample.text)
        return Part(
            samples=ids,
            epoch=int(epochs[0]),
            # In a worker this writes into shared memory, the only copy on the way to the training process.
            images=default_collate([torch.from_numpy(image) for image in images]) if images else None,
            sizes=np.array(sizes, dtype=np.int64).reshape(-1, 2),
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


def _put(image: NDArray[np.uint8], there: NDArray[np.uint8]) -> None:
    if image.shape != there.shape:
        raise ValueError(f"an image of shape {image.shape} where the source said {there.shape}")
    there[:] = image
