"""What the shards of a source hold: how many samples each, and which categories.

Takes: the places of the shards and the members that a recipe names. Gives: `Contents`, two numbers a shard and the
names of the categories. Guarantees: without a file of sizes each shard is read once and what was found is kept in the
cache for shards that did not change; many remote shards are never fetched just to count them.
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m3i_dsl.data.readers.cache import user_cache
from m3i_dsl.data.readers.files import existing
from m3i_dsl.data.readers.places import Place, Unreachable
from m3i_dsl.data.readers.tar_index import DamagedShard, TarIndex, index_of
from m3i_dsl.vocabulary.kinds import WordError

VERSION = 1

MOST_FETCHED = 64
"""Remote shards that are fetched to count them; the sizes of more must be in a file."""

MOST_CATEGORIES = 10**6

SIZES = "sizes.json"


class NoMember(Exception):
    """A sample without what was asked for, or with something else there."""


@dataclass(frozen=True, slots=True)
class Members:
    """The members of the fields, as a recipe writes them (`txt`, `cls`, `json.label`).

    `names` is the member, or the file, that has the names of the categories; `sizes` the file of the shards' sizes.
    """

    caption: str | None
    category: str | None
    names: str | None
    sizes: str | None


@dataclass(frozen=True, eq=False)
class Contents:
    """`counts` int64 [S] by shard; `names` of the categories, in the order of their numbers."""

    counts: NDArray[np.int64]
    names: tuple[str, ...]


class OpenShard:
    """A shard on this machine, open for random access. Members are read by offset: threads and forks do not clash."""

    def __init__(self, path: Path) -> None:
        """Raises DamagedShard, OSError."""
        # Opened before the index is looked for, which a shard that leaves the cache meanwhile then cannot disturb.
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.close = weakref.finalize(self, os.close, self._file)
        self.index: TarIndex = index_of(path)

    def member(self, sample: int, kind: str) -> bytes:
        """Raises NoMember, OSError."""
        found = self.index.members.get(kind)
        offset, size = (-1, -1) if found is None else found[sample].tolist()
        if offset < 0:
            raise NoMember(f"it has no `.{kind}`")
        stored = os.pread(self._file, size, offset)
        if len(stored) != size:
            raise NoMember(f"its `.{kind}` is cut off")
        return stored

    def value(self, sample: int, member: str) -> Any:
        """What a recipe calls `txt`, `cls` or `json.field`: text, or a value of JSON. Raises NoMember, OSError."""
        kind, _, path = member.partition(".")
        try:
            text = self.member(sample, kind).decode().strip()
            value: Any = json.loads(text) if path else text
        except ValueError as error:  # also of decoding
            raise NoMember(f"its `.{kind}` cannot be read: {error}") from error
        for field in path.split(".") if path else ():
            if not isinstance(value, dict) or field not in value:
                raise NoMember(f"its `.{kind}` has no `{path}`")
            value = value[field]
        return value


def label_of(value: Any) -> int | str:
    """The number or the name of a category. Raises NoMember."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise NoMember(f"its category is {json.dumps(value)[:40]}, neither a number nor a name")
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value


def contents(
    written: str, members: Members, shards: Sequence[Place], base: Path, known: tuple[str, ...] | None
) -> Contents:
    """Counts the samples of `shards` and finds the categories; `known` are those of training, for its test shards.

    `written` is how the recipe names the shards.

    Raises WordError.
    """
    counts = _written_counts(members, shards, base)
    names = known if known is not None else _written_names(members, base)
    if members.category is None:
        names = ()
    if counts is not None and names is not None:
        return Contents(counts, names)
    remote = sum(place.remote for place in shards)
    if remote > MOST_FETCHED:
        if counts is None:
            raise WordError(
                f"how many samples the {remote} remote shards have is not known",
                argument="path",
                help=f"count them with `m3ic index '{written}' -o {SIZES}`, and put the file beside them or name it: "
                f'`sizes: "{SIZES}"`',
            )
        raise WordError(
            "the categories of so many remote shards are not known",
            argument="category",
            help='name a file with one category a line: `names: "classes.txt"`',
        )
    found = _kept(members, shards)
    return Contents(found.counts if counts is None else counts, found.names if names is None else names)


def _written_counts(members: Members, shards: Sequence[Place], base: Path) -> NDArray[np.int64] | None:
    """From the file of sizes, if there is one."""
    if members.sizes is not None:
        where, text = members.sizes, existing(members.sizes, base, "sizes").read_text()
    else:
        place = shards[0].beside(SIZES)
        where = place.url
        try:
            written = place.text()
        except Unreachable as error:
            raise WordError(f"`{where}` cannot be read: {error}", argument="path") from error
        if written is None:
            return None
        text = written
    try:
        sizes = json.loads(text)
        counts = [sizes[place.name] for place in shards]
        if not all(isinstance(count, int) and count >= 0 for count in counts):
            raise ValueError("a size is not a whole number")
    except KeyError as error:
        raise WordError(
            f"`{where}` has no size of shard {error}",
            argument="path" if members.sizes is None else "sizes",
            help="add it, or remove the file if the shards can be counted",
        ) from error
    except (ValueError, TypeError) as error:
        raise WordError(
            f"`{where}` is no JSON object of shard names and numbers: {error}",
            argument="path" if members.sizes is None else "sizes",
        ) from error
    return np.array(counts, dtype=np.int64)


def _written_names(members: Members, base: Path) -> tuple[str, ...] | None:
    if members.names is None or is_member(members.names):
        return None
    lines = existing(members.names, base, "names").read_text().splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def is_member(written: str) -> bool:
    """Whether `names` is of the samples themselves, not a file."""
    return written in ("txt", "cls", "json") or written.startswith("json.")


def _kept(members: Members, shards: Sequence[Place]) -> Contents:
    """What is in the shards, from the cache if they did not change."""
    paths = [_here(place) for place in shards]
    status = [path.stat() for path in paths]
    key = json.dumps(
        [
            f"contents {VERSION}",
            members.category,
            members.names,
            [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in zip(paths, status, strict=True)],
        ]
    )
    kept = user_cache().found(key, ".contents")
    if kept is not None:
        value = json.loads(kept.read_text())
        return Contents(np.array(value["counts"], dtype=np.int64), tuple(value["names"]))
    found = _found(members, shards, paths)
    text = json.dumps({"counts": found.counts.tolist(), "names": found.names})

    def write(target: Path) -> None:
        target.write_text(text)

    user_cache().file(key, ".contents", write)
    return found


def _here(place: Place) -> Path:
    try:
        return place.local()
    except OSError as error:
        raise WordError(f"shard `{place.name}` cannot be fetched: {error}", argument="path") from error


def _found(members: Members, shards: Sequence[Place], paths: Sequence[Path]) -> Contents:
    counts: list[int] = []
    labels: dict[int | str, str] = {}
    for place, path in zip(shards, paths, strict=True):
        try:
            shard = OpenShard(path)
        except (DamagedShard, OSError) as error:
            raise WordError(f"shard `{place.name}` cannot be read: {error}", argument="path") from error
        try:
            if shard.index.damage is not None:
                raise WordError(
                    f"shard `{place.name}` is damaged: {shard.index.damage}",
                    argument="path",
                    help="fetch it again, or leave it out of the pattern",
                )
            counts.append(len(shard.index))
            if members.category is not None:
                labels.update((label, name) for label, name in _labels(members, shard) if label not in labels)
        finally:
            shard.close()
    return Contents(np.array(counts, dtype=np.int64), _names(members, labels))


def _labels(members: Members, shard: OpenShard) -> Iterator[tuple[int | str, str]]:
    """The category of each sample that has one, with its name."""
    assert members.category is not None
    for sample in range(len(shard.index)):
        try:
            label = label_of(shard.value(sample, members.category))
            name = (
                shard.value(sample, members.names) if members.names is not None and is_member(members.names) else label
            )
        except NoMember:
            continue  # a broken sample, which training will name
        yield label, str(name)


def _names(members: Members, labels: dict[int | str, str]) -> tuple[str, ...]:
    if members.category is None:
        return ()
    numbers = [label for label in labels if isinstance(label, int)]
    if not labels:
        raise WordError(f"no sample has a category `{members.category}`", argument="category")
    if len(numbers) not in (0, len(labels)):
        other = next(label for label in labels if isinstance(label, str))
        raise WordError(f"categories are numbers and names, such as {numbers[0]} and `{other}`", argument="category")
    if not numbers:
        return tuple(sorted(str(label) for label in labels))
    if max(numbers) >= MOST_CATEGORIES:
        raise WordError(f"category {max(numbers)} is no number of a category", argument="category")
    return tuple(labels.get(number, str(number)) for number in range(max(numbers) + 1))
