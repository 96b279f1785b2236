"""Where the samples of one tar shard lie.

Takes: a tar file in the layout of WebDataset: the members of a sample follow each other and share their name up to its
first dot; what is behind it is the kind. Gives: for each kind the offset and the size of each sample's member.
Guarantees: headers are read once for each file and kept in the cache; a process maps the index, it does not hold it,
and workers share its pages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.data.readers.cache import user_cache
from m3i_dsl.data.readers.tar_members import DamagedShard, members, samples
from m3i_dsl.source.regular import open_regular

VERSION = 2
"""Of the layout of index files."""

HEADER_UNIT = 64
"""Arrays begin at a multiple of it."""

NEW_LINE = ord("\n")

MOST_KINDS = 64


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
    key = f"index\0{VERSION}\0{path.absolute()}\0{changed(status)}"

    return _mapped(memoryview(user_cache().content(key, ".index", lambda: _encoded(path))))


def changed(status: os.stat_result) -> str:
    """What tells a file from another under its name. A file that is put in its place has another inode, one that is
    written over another time of change, which no program sets."""
    return f"{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\0{status.st_ino}"


def samples_in(file: BinaryIO, size: int, stopped: Callable[[], bool] = bool) -> int:
    """How many samples the tar file of `size` bytes has, which is read once, from its start to its end.

    Raises DamagedShard, OSError, and Stopped when `stopped` says so.
    """
    count = 0
    for _ in samples(members(file, size, seek=False)):
        if stopped():
            raise Stopped
        count += 1
    return count


def _encoded(path: Path) -> bytes:
    """The index as bytes: a line of JSON, padding, the arrays, the keys."""
    keys: list[bytes] = []
    found: list[dict[str, tuple[int, int]]] = []
    damage: str | None = None
    try:
        with open_regular(path) as file:
            for key, members_ in samples(members(file, path.stat().st_size, seek=True)):
                keys.append(key.encode(errors="surrogateescape"))
                found.append(members_)
    except DamagedShard as error:
        damage = str(error)
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


def _mapped(stored: memoryview) -> TarIndex:
    at = next(place for place in range(HEADER_UNIT, len(stored) + 1, HEADER_UNIT) if stored[place - 1] == NEW_LINE)
    header = json.loads(bytes(stored[:at]))
    samples = int(header["samples"])
    members: dict[str, NDArray[np.int64]] = {}
    for kind in header["kinds"]:
        members[kind] = np.frombuffer(stored, np.int64, 2 * samples, at).reshape(samples, 2)
        at += 16 * samples
    ends = np.frombuffer(stored, np.int64, samples, at)
    return TarIndex(members, ends, stored[at + 8 * samples :], header["damage"])
