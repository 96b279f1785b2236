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
from m3i_dsl.data.readers.places import StoragePlace, Unreachable
from m3i_dsl.data.readers.tar_index import TarIndex, changed, index_of
from m3i_dsl.data.readers.tar_members import DamagedShard
from m3i_dsl.vocabulary.kinds import Storage, WordError

VERSION = 2

MOST_FETCHED = 64
"""Remote shards that are fetched to count them; the sizes of more must be in a file."""

MOST_CATEGORIES = 10**6

MOST_SAMPLES = 10**9
"""Of a shard."""

MOST_DIGITS = 19
"""Of the number of a category, whose label in a batch is an int64; what has more is no number that anybody gave."""

LONGEST_NAME = 1000
"""Characters of the name of a category."""

SHOWN = 8
"""Members and fields that a message names."""

SIZES = "sizes.json"


class NoMember(Exception):
    """A sample without what was asked for, or with something else there."""


@dataclass(frozen=True, slots=True)
class Members:
    """The members of the fields, as a recipe writes them (`txt`, `cls`, `json.label`).

    `lines` is whether each line of `caption` is one; `names` the member, or the file, that has the names of the
    categories; `sizes` the file of the shards' sizes.
    """

    caption: str | None
    lines: bool
    category: str | None
    names: str | None
    sizes: str | None


@dataclass(frozen=True, eq=False)
class Contents:
    """`counts` int64 [S] by shard; `names` of the categories, and the `numbers` that are stored for them if they do not
    count from 0."""

    counts: NDArray[np.int64]
    names: tuple[str, ...]
    numbers: tuple[int, ...] | None = None


class OpenShard:
    """A shard on this machine, open for random access. Members are read by offset: threads and forks do not clash."""

    def __init__(self, path: Path) -> None:
        """Raises DamagedShard, OSError."""
        # Opened before the index is looked for, which a shard that leaves the cache meanwhile then cannot disturb.
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.close = weakref.finalize(self, os.close, self._file)
        self.index: TarIndex = index_of(path)

    def kinds(self, sample: int) -> list[str]:
        """Those of the members of a sample, sorted."""
        return [kind for kind, places in self.index.members.items() if places[sample, 0] >= 0]

    def member(self, sample: int, kind: str) -> bytes:
        """Raises NoMember, OSError."""
        found = self.index.members.get(kind)
        offset, size = (-1, -1) if found is None else found[sample].tolist()
        if offset < 0:
            there = self.kinds(sample)
            shown = ", ".join(f"`.{other}`" for other in there[:SHOWN])
            raise NoMember(f"it has no `.{kind}`; there is {shown}{rule(there)}")
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
        except RecursionError as error:
            raise NoMember(f"its `.{kind}` cannot be read: it is nested too deeply") from error
        except ValueError as error:  # also of decoding, and of a number with thousands of digits
            raise NoMember(f"its `.{kind}` cannot be read: {error}") from error
        return value if not path else _field(value, path, kind)


def rule(kinds: Sequence[str]) -> str:
    """What a message adds where names have several dots: which of them divides."""
    return "; the first dot of a name ends the sample's, the rest is the kind" if any("." in k for k in kinds) else ""


def _field(value: Any, path: str, kind: str) -> Any:
    """The value at `path` of JSON: a name, or names with dots between for objects in objects."""
    rest = path
    while rest:
        if not isinstance(value, dict):
            raise NoMember(f"its `.{kind}` has no `{path}`")
        # A name may have dots itself: the longest that is there.
        names = rest.split(".")
        name = next((".".join(names[:n]) for n in range(len(names), 0, -1) if ".".join(names[:n]) in value), None)
        if name is None:
            keys = list(value)
            shown = ", ".join(f"`{str(key)[:40]}`" for key in keys[:SHOWN]) + (" and more" if len(keys) > SHOWN else "")
            raise NoMember(f"its `.{kind}` has no `{path}`" + (f"; there is {shown}" if keys else ""))
        value, rest = value[name], rest[len(name) + 1 :]
    return value


def label_of(value: Any) -> int | str:
    """The number or the name of a category: of a truth value the name, of 3.0 the number 3. Raises NoMember."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= MOST_DIGITS:
        value = int(value)
    if isinstance(value, int) and value < 0:
        raise NoMember(f"its category is {str(value)[:MOST_DIGITS]}, which mostly says that it has none")
    if isinstance(value, int) and len(str(value)) >= MOST_DIGITS:
        raise NoMember(f"its category is a number of {len(str(value))} digits")
    if isinstance(value, str) and len(value) > LONGEST_NAME:
        raise NoMember(f"its category is a text of {len(value)} characters, such as `{value[:40]}`")
    if not isinstance(value, int | str) or value == "":
        raise NoMember(f"its category is {json.dumps(value)[:40]}, neither a number nor a name")
    return value


def contents(
    written: str, members: Members, shards: Sequence[StoragePlace], base: Path, known: Storage | None
) -> Contents:
    """Counts the samples of `shards` and finds the categories; `known` are those of training, for its test shards.

    `written` is how the recipe names the shards.

    Raises WordError.
    """
    counts = _written_counts(members, shards, base)
    names = _written_names(members, base) if known is None else known.categories
    if members.category is None:
        names = ()
    numbers = None if known is None else known.numbers
    if counts is not None and names is not None:
        return Contents(counts, names, numbers)
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
    if known is not None and members.category is not None:
        _check_known(found, known)
    if names is None:
        names, numbers = found.names, found.numbers
    return Contents(found.counts if counts is None else counts, names, numbers)


def _check_known(found: Contents, known: Storage) -> None:
    """Raises WordError at `test` for categories of the held-out shards that training lacks."""
    stored: Sequence[str | int] = found.names if found.numbers is None else found.numbers
    for label in stored:
        if label not in known.labels:
            raise WordError(
                f"test category `{label}` is not one of the {len(known.categories)} training categories",
                argument="test",
                help=f"the training shards have {', '.join(f'`{name}`' for name in known.categories[:SHOWN])}"
                + (" and more" if len(known.categories) > SHOWN else ""),
            )


def _written_counts(members: Members, shards: Sequence[StoragePlace], base: Path) -> NDArray[np.int64] | None:
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
        if not all(isinstance(c, int) and not isinstance(c, bool) and 0 <= c <= MOST_SAMPLES for c in counts):
            raise ValueError("a size is not a number of samples")
    except KeyError as error:
        raise WordError(
            f"`{where}` has no size of shard {error}",
            argument="path" if members.sizes is None else "sizes",
            help="add it, or remove the file if the shards can be counted",
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
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


def _kept(members: Members, shards: Sequence[StoragePlace]) -> Contents:
    """What is in the shards, from the cache if they did not change."""
    paths = [_here(place) for place in shards]
    status = [path.stat() for path in paths]
    key = json.dumps(
        [
            f"contents {VERSION}",
            members.category,
            members.names,
            [[str(path), changed(stat)] for path, stat in zip(paths, status, strict=True)],
        ]
    )
    kept = user_cache().kept(key, ".contents")
    if kept is None:
        found = _found(members, shards, paths)
        value = {"counts": found.counts.tolist(), "names": found.names, "numbers": found.numbers}
        user_cache().content(key, ".contents", json.dumps(value).encode)
        return found
    value = json.loads(bytes(kept))
    numbers = value["numbers"]
    counts = np.array(value["counts"], dtype=np.int64)
    return Contents(counts, tuple(value["names"]), None if numbers is None else tuple(numbers))


def _here(place: StoragePlace) -> Path:
    try:
        return place.local()
    except OSError as error:
        raise WordError(f"shard `{place.name}` cannot be fetched: {error}", argument="path") from error


def _found(members: Members, shards: Sequence[StoragePlace], paths: Sequence[Path]) -> Contents:
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
    return Contents(np.array(counts, dtype=np.int64), *_names(members, labels))


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


def _names(members: Members, labels: dict[int | str, str]) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """The names of the categories, and the numbers that are stored for them (None: the names are stored)."""
    if members.category is None:
        return (), None
    numbers = [label for label in labels if isinstance(label, int)]
    if not labels:
        raise WordError(f"no sample has a category `{members.category}`", argument="category")
    if len(numbers) not in (0, len(labels)):
        other = next(label for label in labels if isinstance(label, str))
        raise WordError(f"categories are numbers and names, such as {numbers[0]} and `{other}`", argument="category")
    if len(labels) > MOST_CATEGORIES:
        raise WordError(
            f"`{members.category}` has {len(labels)} values: it is no category",
            argument="category",
            help="name the member that says what an image shows, not which one it is",
        )
    if not numbers:
        return tuple(sorted(str(label) for label in labels)), None
    return tuple(labels[number] for number in sorted(numbers)), tuple(sorted(numbers))
