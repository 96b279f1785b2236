"""Tar shards in the layout of WebDataset, as an opened source.

Takes: shards with an image and optionally a text and a category for each sample. Gives: samples in the order of the
shards and their members. Guarantees: memory holds two numbers a shard and the indexes of the shards used last, however
many samples there are; only the members of the fields asked for are read; a shard that is missing or cut off makes its
samples broken ones.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.data.readers.files import lack_of_machine
from m3i_dsl.data.readers.fingerprints import fingerprint
from m3i_dsl.data.readers.images import SUFFIXES
from m3i_dsl.data.readers.places import StoragePlace, Unreachable, places
from m3i_dsl.data.readers.prompts import filled
from m3i_dsl.data.readers.stored import HeldOut, StoredImages
from m3i_dsl.data.readers.tar_contents import SHOWN, Contents, Members, NoMember, OpenShard, contents, label_of, rule
from m3i_dsl.data.readers.tar_members import DamagedShard
from m3i_dsl.vocabulary.kinds import BrokenSample, Sample, SourceDescription, Storage, Unreadable, WordError
from m3i_dsl.vocabulary.modalities import Category, Text

OPEN_SHARDS = 128
"""In each process; about three for each lane of the order that it reads."""


class TarImages(StoredImages):
    """The samples of the shards `written`, which an argument of the recipe names.

    `known` are the categories of training, for test shards.
    """

    def __init__(
        self,
        written: str,
        base: Path,
        argument: str,
        *,
        held_out: HeldOut,
        members: Members,
        canvas: int | None,
        largest: int | None,
        prompt: str | None,
        known: Storage | None = None,
    ) -> None:
        self.held_out, self.members, self.prompt = held_out, members, prompt
        self.places = places(written, base, argument, ".tar")
        found: Contents = contents(written, members, self.places, base, known)
        self.counts, self.categories = found.counts, found.names
        self.starts = np.cumsum(self.counts) - self.counts
        self.samples = int(self.counts.sum())
        if self.samples == 0:
            raise WordError(f"`{written}` has no samples", argument=argument)
        self.storage = Storage(canvas, self.categories, found.numbers, largest=largest)
        self._forget()
        self.probe(argument)

    def __len__(self) -> int:
        return self.samples

    def shards(self) -> NDArray[np.int64]:
        return self.counts

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        sample: dict[str, Any] = {}
        if "image" in fields:
            sample["image"] = self.image(index)
        named = "text" in fields and self.prompt is not None
        if self.members.category is not None and ("category" in fields or named):
            category = self._category(index, self.members.category)
            if "category" in fields:
                sample["category"] = category
            if "text" in fields and self.prompt is not None:
                sample["text"] = filled(self.prompt, self.categories[category])
        if "text" in fields and self.members.caption is not None:
            text, what = self._value(index, self.members.caption), f"its `{self.members.caption}`"
            lines = self.members.lines
            sample["text"] = self.captions(index, what, text) if lines else self.decoded(index, Text(), what, text)
        return sample

    def stored(self, index: int) -> bytes:
        shard, sample = self._located(index)
        opened = self._opened(shard)
        self._within(opened, shard, sample)
        kinds = opened.kinds(sample)
        kind = next((kind for kind in SUFFIXES if kind in kinds), None)
        if kind is None:
            raise Unreadable(
                f"it has no image; there is {', '.join(f'`.{kind}`' for kind in kinds[:SHOWN])}{rule(kinds)}"
            )
        try:
            return opened.member(sample, kind)
        except NoMember as error:
            raise Unreadable(str(error)) from error

    def name(self, index: int) -> str:
        shard, sample = self._located(index)
        opened = self._open.get(shard)
        if opened is None or sample >= len(opened.index):
            return f"{self.places[shard].name} sample {sample}"
        return f"{self.places[shard].name} {opened.index.key(sample)}"

    def description(self) -> SourceDescription:
        """The fingerprint is over names and numbers of samples of all shards, and over the content of local ones."""
        content = hashlib.blake2b(digest_size=16)
        for place, count in zip(self.places, self.counts.tolist(), strict=True):
            content.update(f"{place.name}\0{count}\0".encode())
        local = [(place.name, Path(place.url)) for place in self.places if not place.remote]
        content.update(fingerprint(local).encode())
        return SourceDescription(self.samples, self.categories, content.hexdigest())

    def proven(self) -> NDArray[np.int64]:
        """Remote shards are not fetched for it: the first one stands for all."""
        return self.probed() if any(place.remote for place in self.places) else super().proven()

    def probed(self) -> NDArray[np.int64]:
        """As `proven`."""
        if not any(place.remote for place in self.places):
            return super().probed()
        first = int(np.argmax(self.counts > 0))
        return self.starts[first] + np.arange(min(8, self.counts[first]), dtype=np.int64)

    def place(self, shard: int) -> StoragePlace:
        """Where a shard lies."""
        return self.places[shard]

    def _category(self, index: int, member: str) -> int:
        try:
            label = label_of(self._value(index, member))
        except NoMember as error:
            raise BrokenSample(self.name(index), str(error)) from error
        return self.decoded(index, Category(), f"category `{label}`", label)

    def _value(self, index: int, member: str) -> Any:
        shard, sample = self._located(index)
        try:
            opened = self._opened(shard)
            self._within(opened, shard, sample)
            return opened.value(sample, member)
        except (NoMember, Unreadable, OSError) as error:
            raise BrokenSample(self.name(index), str(error)) from error

    def _located(self, index: int) -> tuple[int, int]:
        shard = int(np.searchsorted(self.starts + self.counts, index, side="right"))
        return shard, index - int(self.starts[shard])

    def _within(self, opened: OpenShard, shard: int, sample: int) -> None:
        if sample >= len(opened.index):
            damage = f": {opened.index.damage}" if opened.index.damage else ""
            raise Unreadable(f"the shard has {len(opened.index)} samples, not {self.counts[shard]}{damage}")

    def _opened(self, shard: int) -> OpenShard:
        """The open shard. Raises Unreadable, at once when it could not be opened before."""
        if self._process != os.getpid():  # forked: file systems of remote shards do not outlive it
            self._forget()
        if (reason := self._failed.get(shard)) is not None:
            raise Unreadable(reason)
        if shard not in self._open:
            try:
                opened = OpenShard(self.places[shard].local())
            except Unreachable as error:
                self._failed[shard] = str(error)
                raise Unreadable(str(error)) from error
            except (DamagedShard, OSError) as error:
                lack_of_machine(error)
                self._failed[shard] = f"its shard cannot be read: {error}"
                raise Unreadable(self._failed[shard]) from error
            if len(opened.index) > self.counts[shard]:  # fewer are broken samples, more would never be read
                opened.close()
                self._failed[shard] = f"the shard has {len(opened.index)} samples, not {self.counts[shard]}"
                raise Unreadable(self._failed[shard])
            while len(self._open) >= OPEN_SHARDS:
                self._open.popitem(last=False)[1].close()
            self._open[shard] = opened
        self._open.move_to_end(shard)
        return self._open[shard]

    def _forget(self) -> None:
        self._open: OrderedDict[int, OpenShard] = OrderedDict()
        self._failed: dict[int, str] = {}
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Worker processes that are not forked get the dataset without open files."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_open", "_failed")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()
