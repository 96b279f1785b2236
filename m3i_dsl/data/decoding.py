"""Decoding, cutting and collating the rows of a chunk.

Takes: the sources in use with their orders, and a chunk's step and rows. Gives: what is read of them, decoded, and
images of fixed sizes put where they are used. Guarantees: what a chunk holds is a function of the step and its rows
alone, whoever decodes it; a picture is decoded once for all views; a broken sample is replaced by the next one in the
order, so the batch keeps its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from m3i_dsl.data.batch import Broken
from m3i_dsl.data.cutting import Cut, Cutting
from m3i_dsl.data.order import Order
from m3i_dsl.semantics.pattern import Pattern
from m3i_dsl.vocabulary.blame import blame
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import BrokenSample, Encoder, Picture, PlainModality, Sample, ViewState, WordError
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

    Of `cuts` each picture is cut where it is decoded, and the views travel; without, the pictures do, which have the
    (height, width) `size`. `batch` rows of every batch are of it: all, or those that the `pattern` of a mixture gives
    it. `seed` is that of training.
    """

    data: str
    source: Source
    order: Order
    shown: tuple[str, ...]
    cuts: tuple[Cut, ...]
    size: tuple[int, int] | None
    collated: tuple[Collated, ...]
    batch: int
    seed: int
    pattern: Pattern | None = None

    @property
    def fields(self) -> frozenset[str]:
        """What is read of a sample."""
        return frozenset((*self.shown, *(input_.field for input_ in self.collated)))

    @property
    def travelling(self) -> Mapping[str, tuple[int, int]]:
        """The (height, width) of the images that leave the decoder, by field; or by view, where they are cut."""
        if self.size is None:
            return {cut.view: cut.size for cut in self.cuts}
        return dict.fromkeys(self.shown, self.size)

    def own(self, row: int) -> int:
        """How many of the first `row` rows of a batch are of this source."""
        return row if self.pattern is None else self.pattern.own(self.data, row)


@dataclass(slots=True, eq=False)
class Part:
    """The decoded rows of one source in a chunk, R of them; none when a chunk is of other sources of a mixture.

    `samples` int64 [R] on the host; by what is `travelling`, the `states` of the images, which are whole or `cut`; by
    input name, `values` [R, ...] as collated. The images of the whole batch, uint8 [own rows, H, W, 3], are joined to
    it where they lie.
    """

    samples: NDArray[np.int64]
    epoch: int
    cut: bool
    states: dict[str, ViewState]
    values: dict[str, torch.Tensor]
    broken: tuple[Broken, ...]
    images: Mapping[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])

    def __getstate__(self) -> dict[str, Any]:
        """Between processes a tensor is a file in shared memory of its own, which few numbers are not worth."""
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        state["values"] = {name: values.numpy() for name, values in self.values.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.values = {name: torch.from_numpy(values) for name, values in state["values"].items()}


def joined(parts: Sequence[Part], images: Mapping[str, torch.Tensor]) -> Part:
    """The rows of all parts, in order, with the images of the batch."""
    first = parts[0]
    if len(parts) == 1:
        return replace(first, images=images)
    return Part(
        samples=np.concatenate([part.samples for part in parts]),
        epoch=first.epoch,
        cut=first.cut,
        states={name: ViewState.joined([part.states[name] for part in parts]) for name in first.states},
        values={name: torch.cat([part.values[name] for part in parts]) for name in first.values},
        broken=tuple(fault for part in parts for fault in part.broken),
        images=images,
    )


Chunk = tuple[Part, ...]
"""A part for each feed, in their order."""


@dataclass(frozen=True, slots=True)
class DecodingFailed:
    """A source that cannot be read any more, told across processes; it is `exhausted` when no sample of it is left."""

    data: str
    message: str
    help: str | None
    exhausted: bool = False


def failed(data: str, fault: Exception) -> DecodingFailed:
    """What is told of `fault`, raised by the source of `data` or by a data set of another package, whose traceback does
    not reach the other process. Raises it again when nobody outside of m3ic is to blame.
    """
    if isinstance(fault, WordError):
        return DecodingFailed(data, fault.message, fault.help)
    blamed = blame(fault)
    if blamed is None:
        raise fault
    return DecodingFailed(data, f"{blamed.message} ({blamed.notes[0]})", blamed.help)


Rows = tuple[int, int, int]
"""(step, first row, end row)."""


@dataclass(frozen=True, slots=True)
class Travelling:
    """The images of `data` that leave the decoder for a batch: `rows` of each of the (height, width) `sizes`."""

    data: str
    rows: int
    sizes: Mapping[str, tuple[int, int]]


class Decoder(Protocol):
    """What workers run: that of training, and that of an evaluation."""

    @property
    def rows(self) -> range:
        """Those of a batch that this process makes."""
        ...

    @property
    def travelling(self) -> Sequence[Travelling]:
        """For each source in use."""
        ...

    def decoded(self, rows: Rows, into: Sequence[Mapping[str, NDArray[np.uint8]]]) -> Chunk | DecodingFailed:
        """The chunk, but for its images: these are put at their places in the batch, for each source `into` the arrays
        of what is travelling, uint8 [rows, H, W, 3].
        """
        ...


class Unusable(Exception):
    """Every sample of a source is broken."""


class SampleDecoder:
    """Random access to chunks."""

    def __init__(self, feeds: tuple[Feed, ...], batch: int, rows: range, base: Path) -> None:
        """`rows` are those of this process, of the `batch` of all."""
        self.feeds, self.batch, self.rows, self.base = feeds, batch, rows, base

    @property
    def travelling(self) -> list[Travelling]:
        """For each feed."""
        return [Travelling(feed.data, self.own_rows(feed), feed.travelling) for feed in self.feeds]

    def own_rows(self, feed: Feed) -> int:
        """How many of the rows of this process are of one source."""
        return feed.own(self.rows.stop) - feed.own(self.rows.start)

    def decoded(self, rows: Rows, into: Sequence[Mapping[str, NDArray[np.uint8]]]) -> Chunk | DecodingFailed:
        """The chunk, but for its images: these are put at their places in the batch, for each feed `into` the arrays of
        what is travelling, uint8 [own_rows, H, W, 3].
        """
        parts: list[Part] = []
        for feed, arrays in zip(self.feeds, into, strict=True):
            try:
                parts.append(self._part(feed, rows, arrays))
            except Unusable as fault:
                return DecodingFailed(
                    feed.data, f"no sample of data `{feed.data}` can be read", f"such as {fault}", True
                )
            except Exception as fault:
                return failed(feed.data, fault)
        return tuple(parts)

    def _part(self, feed: Feed, rows: Rows, into: Mapping[str, NDArray[np.uint8]]) -> Part:
        step, first, end = rows
        place = feed.own(first) - feed.own(self.rows.start)
        whole = feed.order.batch_positions(step, feed.batch)
        positions = whole[feed.own(first) : feed.own(end)]
        epochs, ids = feed.order.at(positions if len(positions) else whole[:1])
        ids = ids[: len(positions)]
        places = range(place, place + len(positions))
        taken = [
            _Taken(feed, position, sample) for position, sample in zip(positions.tolist(), ids.tolist(), strict=True)
        ]
        if feed.size is None:
            states = _cut(feed, int(epochs[0]), taken, places, into)
        else:
            states = _whole(feed, taken, places, into)
        ids = np.array([one.number for one in taken], dtype=np.int64)
        values = {
            input_.name: [
                _drawn(feed, input_, one.sample, int(epoch), one.number)
                for epoch, one in zip(epochs.tolist(), taken, strict=False)
            ]
            for input_ in feed.collated
        }
        return Part(
            samples=ids,
            epoch=int(epochs[0]),
            cut=feed.size is None,
            states=states,
            values={input_.name: self._values(feed, input_, values[input_.name]) for input_ in feed.collated},
            broken=tuple(fault for one in taken for fault in one.broken),
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


class _Taken:
    """The sample at a position: the one that stands there in the order, or the first after it that can be read."""

    def __init__(self, feed: Feed, position: int, number: int) -> None:
        self.feed, self.number = feed, number
        self.broken: list[Broken] = []
        self._substitutes = feed.order.substitutes(position, feed.batch)
        self.sample = self._read()

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """Of the picture in a field. Raises BrokenSample."""
        picture: Picture = self.sample[name]
        return picture.pixels

    def forget_pixels(self) -> None:
        """Those of a chunk may not fit in memory at once."""
        sizes = {name: self.sample[name].size for name in self.feed.shown}
        self.sample = {**self.sample, **{name: Picture(_gone, size) for name, size in sizes.items()}}

    def skip(self, fault: BrokenSample) -> None:
        """Goes on to the next sample that can be read. Raises Unusable when there is none."""
        self._next(fault)
        self.sample = self._read()

    def _next(self, fault: BrokenSample) -> None:
        self.broken.append(Broken(self.feed.data, fault.name, fault.reason))
        following = next(self._substitutes, None)
        if following is None:
            raise Unusable(str(self.broken[0]))
        self.number = int(self.feed.order.at(np.array([following]))[1][0])

    def _read(self) -> Sample:
        feed = self.feed
        while True:
            try:
                read = feed.source.read(self.number, feed.fields)
            except BrokenSample as fault:
                self._next(fault)
                continue
            if feed.fields <= read.keys():
                return read
            missing = ", ".join(f"`{name}`" for name in sorted(feed.fields - read.keys()))
            raise WordError(f"sample {self.number} of data `{feed.data}` was read without {missing}")


def _gone() -> NDArray[np.uint8]:
    raise AssertionError("the pixels were used")


def _whole(
    feed: Feed, taken: Sequence[_Taken], places: range, into: Mapping[str, NDArray[np.uint8]]
) -> dict[str, ViewState]:
    """Puts pictures of one size at their places."""
    for place, one in zip(places, taken, strict=True):
        while True:
            try:
                for name in feed.shown:
                    # At once, while the image is in the processor's cache, and its memory serves the next one.
                    put(one.pixels(name), into[name][place])
                break
            except BrokenSample as fault:
                one.skip(fault)
        one.forget_pixels()
    return {name: ViewState.whole(_sizes(taken, name)) for name in feed.shown}


def _cut(
    feed: Feed, epoch: int, taken: Sequence[_Taken], places: range, into: Mapping[str, NDArray[np.uint8]]
) -> dict[str, ViewState]:
    """Cuts pictures for each view. Where is decided for all rows at once, by the sizes in the headers of the files."""
    numbers = np.array([one.number for one in taken], dtype=np.int64)
    cuttings = [Cutting(cut, epoch, numbers, _sizes(taken, cut.field)) for cut in feed.cuts]
    for row, (place, one) in enumerate(zip(places, taken, strict=True)):
        while True:
            try:
                pixels = {name: one.pixels(name) for name in feed.shown}
                break
            except BrokenSample as fault:
                one.skip(fault)
                for cutting in cuttings:
                    cutting.replace(row, one.number, one.sample[cutting.cut.field].size)
        for cutting in cuttings:
            put(cutting.shown(pixels[cutting.cut.field], row), into[cutting.cut.view][place])
        one.forget_pixels()
    return {cutting.cut.view: cutting.state for cutting in cuttings}


def _sizes(taken: Sequence[_Taken], name: str) -> NDArray[np.int64]:
    return np.array([one.sample[name].size for one in taken], dtype=np.int64).reshape(-1, 2)


def _drawn(feed: Feed, input_: Collated, sample: Sample, epoch: int, number: int) -> Any:
    """The value of a field, drawn from those of the sample `number` if it has several."""
    value, modality = sample[input_.field], input_.modality
    count = modality.several(value)
    if count == 1:
        return modality.one(value, 0)
    draws = Draws(feed.seed, epoch, np.array([number], dtype=np.int64), f"{feed.data}/{input_.field}")
    return modality.one(value, int(draws.uniform()[0] * count))


_DTYPES = {"f32": torch.float32, "i64": torch.int64, "bool": torch.bool}


def put(image: NDArray[np.uint8], there: NDArray[np.uint8]) -> None:
    """Raises ValueError for an image of another size than its source has said."""
    if image.shape != there.shape:
        raise ValueError(f"an image of shape {image.shape} where the source said {there.shape}")
    there[:] = image
