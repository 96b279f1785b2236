"""Where the samples of one tar shard lie.

Takes: a tar file in the layout of WebDataset: the members of a sample follow each other and share their name up to its
first dot; what is behind it is the kind. Gives: for each kind the offset and the size of each sample's member.
Guarantees: headers are read once for each file and kept in the cache; a process maps the index, it does not hold it,
and workers share its pages.
"""

from __future__ import annotations

import json
import mmap
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.data.readers.cache import user_cache

VERSION = 1
"""Of the layout of index files."""

HEADER_UNIT = 64
"""Arrays begin at a multiple of it."""

MOST_KINDS = 64


STREAMED = 1 << 20
"""Bytes that are read at a time of a stream."""


class DamagedShard(Exception):
    """A file that is no tar file, or one that is cut off."""


class Stopped(Exception):
    """Reading was asked to stop."""


@dataclass(frozen=True, eq=False)
class TarIndex:
    """N samples in the order of the file.

    `members[kind]` int64 [N, 2] are offset and size in bytes, (-1, -1) where a sample lacks the kind. `damage` says
    what is wrong behind the last whole sample, if anything is.
    """

    members: dict[str, NDArray[np.int64]]
    ends: NDArray[np.int64]
    keys: memoryview
    damage: str | None

    def __len__(self) -> int:
        return len(self.ends)

    def key(self, sample: int) -> str:
        """The name that the members of a sample share."""
        first = int(self.ends[sample - 1]) if sample else 0
        return bytes(self.keys[first : int(self.ends[sample])]).decode(errors="surrogateescape")


def index_of(path: Path) -> TarIndex:
    """The index of the tar file at `path`, from the cache if it was made before. Raises DamagedShard, OSError."""
    status = path.stat()
    key = f"index\0{VERSION}\0{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}"

    def make(target: Path) -> None:
        target.write_bytes(_encoded(path))

    return _mapped(user_cache().file(key, ".index", make))


def samples_in(file: BinaryIO, size: int, stopped: Callable[[], bool] = bool) -> int:
    """How many samples the tar file of `size` bytes has, which is read once, from its start to its end.

    Raises DamagedShard, OSError, and Stopped when `stopped` says so.
    """
    count, last = 0, None
    for key, *_ in _members(file, size, "r|"):
        if stopped():
            raise Stopped
        count += key != last
        last = key
    return count


def _members(file: BinaryIO, size: int, mode: Literal["r:", "r|"]) -> Iterator[tuple[str, str, int, int]]:
    """Sample, kind, offset and size of each member of a tar file of `size` bytes. Raises DamagedShard, OSError."""
    try:
        with tarfile.open(fileobj=file, mode=mode, bufsize=STREAMED) as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined] # or it would keep every header
                if not member.isfile():
                    continue
                if member.offset_data + member.size > size:
                    raise DamagedShard(f"it is cut off within `{member.name}`")
                key, kind = _split(member.name)
                if kind:
                    yield key, kind, member.offset_data, member.size
    except (tarfile.TarError, EOFError) as error:
        raise DamagedShard(str(error) or type(error).__name__) from error


def _encoded(path: Path) -> bytes:
    """The index as bytes: a line of JSON, padding, the arrays, the keys."""
    keys: list[bytes] = []
    found: list[dict[str, tuple[int, int]]] = []
    damage: str | None = None
    try:
        with path.open("rb") as file:
            for key, kind, offset, size in _members(file, path.stat().st_size, "r:"):
                encoded = key.encode(errors="surrogateescape")
                if not keys or keys[-1] != encoded:
                    keys.append(encoded)
                    found.append({})
                found[-1][kind] = (offset, size)
    except DamagedShard as error:
        damage = str(error)
    if damage is not None and found:
        del keys[-1], found[-1]  # its members may not all be there
    if damage is not None and not found:
        raise DamagedShard(damage)
    kinds = sorted({kind for sample in found for kind in sample})
    if len(kinds) > MOST_KINDS:
        raise DamagedShard(f"it has {len(kinds)} kinds of members; names before the first dot must name the sample")
    arrays = [np.array([sample.get(kind, (-1, -1)) for sample in found], dtype=np.int64) for kind in kinds]
    ends = np.cumsum([len(key) for key in keys], dtype=np.int64)
    header = json.dumps({"samples": len(keys), "kinds": kinds, "damage": damage}).encode() + b"\n"
    padding = b" " * (-len(header) % HEADER_UNIT)
    return b"".join([header[:-1], padding, b"\n", *(a.tobytes() for a in arrays), ends.tobytes(), *keys])


def _mapped(path: Path) -> TarIndex:
    with path.open("rb") as file:
        header = json.loads(line := file.readline())
        mapped = memoryview(mmap.mmap(file.fileno(), os.fstat(file.fileno()).st_size, access=mmap.ACCESS_READ))
    samples, at = int(header["samples"]), len(line)
    members: dict[str, NDArray[np.int64]] = {}
    for kind in header["kinds"]:
        members[kind] = np.frombuffer(mapped, np.int64, 2 * samples, at).reshape(samples, 2)
        at += 16 * samples
    ends = np.frombuffer(mapped, np.int64, samples, at)
    return TarIndex(members, ends, mapped[at + 8 * samples :], header["damage"])


def _split(name: str) -> tuple[str, str]:
    """The name of the sample and the kind, in lower case; the kind is empty for a member without a dot."""
    folder, slash, file = name.removeprefix("./").rpartition("/")
    if file.startswith("."):  # hidden files, such as those that some systems add
        return name, ""
    stem, _, kind = file.partition(".")
    return f"{folder}{slash}{stem}", kind.lower()
