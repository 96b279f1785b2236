"""Decoding and collating the rows of a chunk.

Takes: the sources in use with their orders, and a chunk's step and rows. Gives: what is read of them, decoded.
Guarantees: what a chunk holds is a function of the step and its rows alone, whoever decodes it and wherever the images
are put; a broken sample is replaced by the next one in the order, so the batch keeps its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from m3i_dsl.vocabulary.blame import blame
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import BrokenSample, Encoder, Picture, PlainModality, Sample, WordError
from m3i_dsl.vocabulary.kinds import Dataset as Source


@dataclass(frozen=True, slots=True)
class Collated:
    """One input of the graph: the values of `field`, as its `modality` makes an array of them with the encoder `by`."""

    name: str
    field: str
    modality: PlainModality
    by: Encoder | None


@dataclass(frozen=True, slots=True)
class Feed:
    """One source in use: the fields that are `shown` as views, and what is `collated` of its other fields.

    `batch` rows of every batch are of it: all, or those that the `pattern` of a mixture gives it. `seed` is that of
    training.
    """

    data: str
    source: Source
    order: Order
    shown: tuple[str, ...]
    collated: tuple[Collated, ...]
    batch: int
    seed: int
    pattern: Pattern | None = None

    @property
    def fields(self) -> frozenset[str]:
        """What is read of a sample."""
        return frozenset((*self.shown, *(input_.field for input_ in self.collated)))

    def own(self, row: int) -> int:
        """How many of the first `row` rows of a batch are of this source."""
        return row if self.pattern is None else self.pattern.own(self.data, row)


@dataclass(slots=True, eq=False)
class Part:
    """The decoded rows of one source in a chunk, R of them; none when a chunk is of other sources of a mixture.

    `samples` int64 [R] on the host; by field that is shown, `images` uint8 [R, H, W, 3] and `sizes` int64 [R, 2] as
    stored; by input name, `values` [R, ...] as collated. Images that lie in a slot, and those of no rows, are left out.
    """

    samples: NDArray[np.int64]
    epoch: int
    images: dict[str, torch.Tensor]
    sizes: dict[str, NDArray[np.int64]]
    values: dict[str, torch.Tensor]
    broken: tuple[Broken, ...]

    def pin_memory(self) -> Part:
        """Called by torch's DataLoader, so that copies to the device run beside computation."""
        self.images = {name: images.pin_memory() for name, images in self.images.items()}
        self.values = {name: values.pin_memory() for name, values in self.values.items()}
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Between processes a tensor is a file in shared memory of its own, which few numbers are not worth."""
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        state["values"] = {name: values.numpy() for name, values in self.values.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.values = {name: torch.from_numpy(values) for name, values in state["values"].items()}


def joined(parts: Sequence[Part], device: torch.device) -> Part:
    """The rows of all parts, in order, on the device. Each part is copied by itself, as it is in pinned memory."""

    def moved(named: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        there: dict[str, list[torch.Tensor]] = {}
        for tensors in named:
            for name, tensor in tensors.items():
                there.setdefault(name, []).append(on_device(tensor, device))
        return {name: rows[0] if len(rows) == 1 else torch.cat(rows) for name, rows in there.items()}

    return Part(
        samples=np.concatenate([part.samples for part in parts]),
        epoch=parts[0].epoch,
        images=moved([part.images for part in parts]),
        sizes={name: np.concatenate([part.sizes[name] for part in parts]) for name in parts[0].sizes},
        values=moved([part.values for part in parts]),
        broken=tuple(fault for part in parts for fault in part.broken),
    )


Chunk = tuple[Part, ...]
"""A part for each feed, in their order."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A source that cannot be read any more, told across processes; it is `exhausted` when no sample of it is left."""

    data: str
    message: str
    help: str | None
    exhausted: bool = False


Rows = tuple[int, int, int]
"""(step, first row, end row)."""


class Unusable(Exception):
    """Every sample of a source is broken."""


class SampleDecoder(Dataset[Chunk | Failed]):
    """Random access to chunks, for torch's DataLoader."""

    def __init__(self, feeds: tuple[Feed, ...], batch: int, rows: range, base: Path) -> None:
        """`rows` are those of this process, of the `batch` of all."""
        self.feeds, self.batch, self.rows, self.base = feeds, batch, rows, base

    def __getitem__(self, rows: Rows) -> Chunk | Failed:
        return self.decoded(rows, [{}] * len(self.feeds))

    def own_rows(self, feed: Feed) -> int:
        """How many of the rows of this process are of one source."""
        return feed.own(self.rows.stop) - feed.own(self.rows.start)

    def decoded(self, rows: Rows, into: Sequence[Mapping[str, NDArray[np.uint8]]]) -> Chunk | Failed:
        """The chunk. Where `into` has an array for a field of a feed, uint8 [own_rows, H, W, 3], the images are put
        there at their places in the batch, and not into the part.
        """
        parts: list[Part] = []
        for feed, arrays in zip(self.feeds, into, strict=True):
            try:
                parts.append(self._part(feed, rows, arrays))
            except Unusable as fault:
                return Failed(feed.data, f"no sample of data `{feed.data}` can be read", f"such as {fault}", True)
            except WordError as fault:
                return Failed(feed.data, fault.message, fault.help)
            except Exception as fault:  # a data set of another package; its traceback does not reach the other process
                blamed = blame(fault)
                if blamed is None:
                    raise
                return Failed(feed.data, f"{blamed.message} ({blamed.notes[0]})", blamed.help)
        return tuple(parts)

    def _part(self, feed: Feed, rows: Rows, into: Mapping[str, NDArray[np.uint8]]) -> Part:
        step, first, end = rows
        place = feed.own(first) - feed.own(self.rows.start)
        whole = feed.order.batch_positions(step, feed.batch)
        positions = whole[feed.own(first) : feed.own(end)]
        epochs, ids = feed.order.at(positions if len(positions) else whole[:1])
        ids = ids[: len(positions)].copy()
        broken: list[Broken] = []
        images: dict[str, list[torch.Tensor]] = {name: [] for name in feed.shown if name not in into}
        sizes: dict[str, list[tuple[int, int]]] = {name: [] for name in feed.shown}
        values: dict[str, list[Any]] = {input_.name: [] for input_ in feed.collated}
        fields = feed.fields
        for row, position in enumerate(positions.tolist()):
            ids[row], sample = self._read(feed, fields, position, int(ids[row]), broken)
            for name in feed.shown:
                picture: Picture = sample[name]
                sizes[name].append(picture.size)
                if name in into:
                    # At once, while the image is in the processor's cache, and its memory serves the next one.
                    _put(picture.pixels, into[name][place + row])
                else:
                    images[name].append(torch.from_numpy(picture.pixels))
            for input_ in feed.collated:
                values[input_.name].append(_drawn(feed, input_, sample, int(epochs[row]), int(ids[row])))
        return Part(
            samples=ids,
            epoch=int(epochs[0]),
            # In a worker this writes into shared memory, the only copy on the way to the training process.
            images={name: default_collate(shown) for name, shown in images.items() if shown},
            sizes={name: np.array(shown, dtype=np.int64).reshape(-1, 2) for name, shown in sizes.items()},
            values={input_.name: self._values(feed, input_, values[input_.name]) for input_ in feed.collated},
            broken=tuple(broken),
        )

    def _values(self, feed: Feed, input_: Collated, values: list[Any]) -> torch.Tensor:
        """[R, ...] as the graph expects them. Raises WordError when the modality does not keep to its own type."""
        modality = input_.modality
        shape = (len(values), *modality.dimensions(input_.by))
        if not values:
            return torch.empty(shape, dtype=_DTYPES[modality.dtype])
        made = torch.from_numpy(modality.collate(values, input_.by, self.base))
        if made.shape != shape or made.dtype != _DTYPES[modality.dtype]:
            raise WordError(
                f"`{modality.name}` made {made.dtype} {list(made.shape)} of field `{input_.field}` of {len(values)}"
                f" samples, where it says {_DTYPES[modality.dtype]} {list(shape)}",
                help=f"mend the modality `{modality.name}`, or what the source gives it",
            )
        return made

    def _read(
        self, feed: Feed, fields: frozenset[str], position: int, sample: int, broken: list[Broken]
    ) -> tuple[int, Sample]:
        """The sample, or the first one after it that can be read; what was skipped is added to `broken`."""
        substitutes = feed.order.substitutes(position, feed.batch)
        while True:
            try:
                read = feed.source.read(sample, fields)
                if fields <= read.keys():
                    return sample, read
                missing = ", ".join(f"`{name}`" for name in sorted(fields - read.keys()))
                raise WordError(f"sample {sample} of data `{feed.data}` was read without {missing}")
            except BrokenSample as fault:
                broken.append(Broken(feed.data, fault.name, fault.reason))
            following = next(substitutes, None)
            if following is None:
                raise Unusable(str(broken[0]))
            sample = int(feed.order.at(np.array([following]))[1][0])


def _drawn(feed: Feed, input_: Collated, sample: Sample, epoch: int, number: int) -> Any:
    """The value of a field, drawn from those of the sample `number` if it has several."""
    value, modality = sample[input_.field], input_.modality
    count = modality.several(value)
    if count == 1:
        return modality.one(value, 0)
    draws = Draws(feed.seed, epoch, np.array([number], dtype=np.int64), f"{feed.data}/{input_.field}")
    return modality.one(value, int(draws.uniform()[0] * count))


_DTYPES = {"f32": torch.float32, "i64": torch.int64, "bool": torch.bool}


def _put(image: NDArray[np.uint8], there: NDArray[np.uint8]) -> None:
    if image.shape != there.shape:
        raise ValueError(f"an image of shape {image.shape} where the source said {there.shape}")
    there[:] = image
