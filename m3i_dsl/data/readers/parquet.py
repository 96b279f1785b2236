"""Parquet files in the layout of Hugging Face datasets, as an opened source.

Takes: files with an image column (a struct of bytes and path, or bytes) and optionally a text and a category column.
Gives: samples in the order of files and rows. Guarantees: opening reads footers and the category column only; a
sample costs its row group, of which the last used ones stay in memory up to a limit; each process opens the files for
itself.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from m3i_dsl.data.readers.files import content, lack_of_machine
from m3i_dsl.data.readers.fingerprints import fingerprint
from m3i_dsl.data.readers.parquet_columns import DAMAGED, Columns, Labels, check_columns, read_labels
from m3i_dsl.data.readers.places import StoragePlace, places
from m3i_dsl.data.readers.prompts import filled
from m3i_dsl.data.readers.stored import HeldOut, StoredImages
from m3i_dsl.vocabulary.kinds import BrokenSample, Sample, SourceDescription, Storage, Unreadable, WordError, spread
from m3i_dsl.vocabulary.modalities import Text

CACHE_BYTES = 256 * 2**20
"""Row groups kept in memory by each process."""

OPEN_FILES = 64

MANY_ROWS = 2**20
"""From here on, and always when they are remote, training goes through the files a few at a time."""


@dataclass(frozen=True, slots=True)
class Groups:
    """All row groups of a source: the file and the place in it of each, and the first sample of each, int64 [G]."""

    files: NDArray[np.int64]
    places: NDArray[np.int64]
    starts: NDArray[np.int64]
    samples: int

    def rows(self, group: int) -> int:
        """How many samples a group has."""
        end = self.samples if group + 1 == len(self.starts) else int(self.starts[group + 1])
        return end - int(self.starts[group])


class ParquetImages(StoredImages):
    """The rows of the files `written`, which an argument of the recipe names.

    `known` are the categories of training, when it is the test split.
    """

    def __init__(
        self,
        written: str,
        base: Path,
        argument: str,
        *,
        held_out: HeldOut,
        columns: Columns,
        canvas: int | None,
        largest: int | None,
        prompt: str | None,
        known: Storage | None = None,
    ) -> None:
        self.held_out, self.columns, self.prompt = held_out, columns, prompt
        self.files = places(written, base, argument, ".parquet")
        footers = [_footer(path, argument) for path in self.files]
        self.groups = _groups(footers)
        if self.groups.samples == 0:
            raise WordError(f"`{written}` has no rows", argument=argument)
        for path, footer in zip(self.files, footers, strict=True):
            check_columns(columns, footer.schema.to_arrow_schema(), path.name)
        self.labels: Labels | None = None
        if columns.category is not None:
            self.labels = read_labels(self.files, footers[0].schema.to_arrow_schema(), columns.category, known)
            if len(self.labels.indices) != self.groups.samples:
                raise WordError(
                    f"`{written}` is damaged: column `{columns.category}` has {len(self.labels.indices)} rows, not"
                    f" {self.groups.samples}",
                    argument=argument,
                )
        self.categories = self.labels.names if self.labels is not None else ()
        self.storage = Storage(canvas, self.categories, largest=largest)
        self._forget()
        self.probe("image")

    def __len__(self) -> int:
        return self.groups.samples

    def shards(self) -> NDArray[np.int64] | None:
        if self.groups.samples < MANY_ROWS and not any(place.remote for place in self.files):
            return None
        return self._counts()

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        sample: dict[str, Any] = {}
        if "image" in fields:
            sample["image"] = self.image(index)
        if "text" in fields and self.prompt is not None:
            sample["text"] = filled(self.prompt, self.categories[self._label(index)])
        elif "text" in fields and self.columns.caption is not None:
            sample["text"] = self._caption(index, self.columns.caption)
        if "category" in fields and self.labels is not None:
            sample["category"] = self._label(index)
        return sample

    def stored(self, index: int) -> bytes:
        value = self._value(index, self.columns.image)
        if value is None:
            raise Unreadable("it is null")
        if isinstance(value, bytes):
            return value
        if value["bytes"] is not None:
            return value["bytes"]
        if value["path"] is None:
            raise Unreadable("it has neither bytes nor a path")
        return content(self.files[self._file(index)].beside(value["path"]).local())

    def name(self, index: int) -> str:
        file = self._file(index)
        first = self.groups.starts[np.searchsorted(self.groups.files, file)]
        return f"{self.files[file].name} row {index - first}"

    def proven(self) -> NDArray[np.int64]:
        """Of each file; remote ones are not fetched for it, the first one stands for all."""
        counts = self._counts()
        remote = any(place.remote for place in self.files)
        return spread(np.where(np.arange(len(counts)) == np.argmax(counts > 0), counts, 0) if remote else counts)

    def description(self) -> SourceDescription:
        """The fingerprint is over the footers, which hold sizes and statistics of every column of every group, over the
        category of every row, and over the content of local files."""
        digest = hashlib.blake2b(digest_size=16)
        for path in self.files:
            digest.update(f"{path.name}\0{path.size()}\0".encode() + _footer_bytes(path))
        if self.labels is not None:
            digest.update(self.labels.indices.astype("<i8").tobytes())
        digest.update(fingerprint([(path.name, Path(path.url)) for path in self.files if not path.remote]).encode())
        return SourceDescription(len(self), self.categories, digest.hexdigest())

    def _label(self, index: int) -> int:
        assert self.labels is not None
        return int(self.labels.indices[index])

    def _counts(self) -> NDArray[np.int64]:
        """int64: the rows of each file."""
        counts = np.diff(np.append(self.groups.starts, self.groups.samples))
        return np.bincount(self.groups.files, counts, len(self.files)).astype(np.int64)

    def _caption(self, index: int, column: str) -> Any:
        try:
            text = self._value(index, column)
        except (Unreadable, OSError) as error:
            raise BrokenSample(self.name(index), f"column `{column}`: {error}") from error
        if text is None:
            raise BrokenSample(self.name(index), f"column `{column}` is null")
        return self.decoded(index, Text(), f"column `{column}`", text)

    def _file(self, index: int) -> int:
        return int(self.groups.files[np.searchsorted(self.groups.starts, index, side="right") - 1])

    def _value(self, index: int, column: str) -> Any:
        group = int(np.searchsorted(self.groups.starts, index, side="right")) - 1
        values, rows = self._column(group, column), self.groups.rows(group)
        if len(values) != rows:
            raise Unreadable(f"column `{column}` of its row group has {len(values)} rows, not {rows}")
        try:
            return values[index - int(self.groups.starts[group])].as_py()
        except UnicodeDecodeError as error:
            raise Unreadable(str(error)) from error

    def _column(self, group: int, column: str) -> pa.Array:
        """One column of one row group, from memory when it was used lately."""
        if self._process != os.getpid():  # forked: a worker must not share file positions with its parent
            self._forget()
        key = (group, column)
        if key in self._tables:
            self._tables.move_to_end(key)
            return self._tables[key]
        file = int(self.groups.files[group])
        try:
            table = self._file_handle(file).read_row_group(
                int(self.groups.places[group]), columns=[column], use_threads=False
            )
            values = table.column(column).combine_chunks()
        except DAMAGED as error:
            # A file that was damaged or exchanged since it was opened: nothing of it may stay.
            self._open.pop(file, None)
            lack_of_machine(error)
            raise Unreadable(f"its row group cannot be read: {error}") from error
        self._tables[key] = values
        self._bytes += values.nbytes
        while self._bytes > CACHE_BYTES and len(self._tables) > 1:
            _, dropped = self._tables.popitem(last=False)
            self._bytes -= dropped.nbytes
        return values

    def _file_handle(self, file: int) -> pq.ParquetFile:
        if file not in self._open:
            if len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[file] = pq.ParquetFile(self.files[file].local(), page_checksum_verification=True)
        self._open.move_to_end(file)
        return self._open[file]

    def _forget(self) -> None:
        self._tables: OrderedDict[tuple[int, str], pa.Array] = OrderedDict()
        self._open: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._bytes = 0
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Worker processes that are not forked get the dataset without open files."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_tables", "_open")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


def _footer(place: StoragePlace, argument: str) -> pq.FileMetaData:
    try:
        with place.open() as file:
            return pq.read_metadata(file)
    except DAMAGED as error:
        raise WordError(f"`{place.name}` is not a Parquet file", argument=argument, help=str(error)) from error


def _footer_bytes(place: StoragePlace) -> bytes:
    """The footer as it lies at the end of the file, its length in the 4 bytes before the final magic."""
    with place.open() as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        return file.read(length)


def _groups(footers: list[pq.FileMetaData]) -> Groups:
    found = [
        (file, place, footer.row_group(place).num_rows)
        for file, footer in enumerate(footers)
        for place in range(footer.num_row_groups)
        if footer.row_group(place).num_rows > 0
    ]
    files, places, counts = np.array(found, dtype=np.int64).reshape(-1, 3).T
    ends = np.cumsum(counts)
    return Groups(files, places, ends - counts, int(counts.sum()))
