"""Walking through a tar file.

Takes: a stream of the bytes of a tar file. Gives: its regular members, with the places of their bytes; or, by sample,
the places of its members. Guarantees: damage anywhere is a `DamagedShard` that says at which byte: a header whose
checksum is wrong, a size that is none, an end without the end-of-archive marker, bytes behind it; memory is bounded
whatever the file says of itself.

The headers are those of POSIX (ustar, pax) and GNU tar.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = tarfile.BLOCKSIZE

MOST_HEADER = 1 << 20
"""Bytes of an extended header: names of files, and what programs add to them."""

STREAMED = 1 << 20
"""Bytes that are read at a time of what is passed over in a stream."""

TAIL = 1 << 16
"""Bytes behind the end-of-archive marker that must be zero; writers pad to 10 KiB, or a few times that."""

COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
}


class DamagedShard(Exception):
    """A file that is no tar file, or one that is damaged or cut off."""


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file: `size` bytes at `offset`; its header begins at `header`."""

    name: str
    header: int
    offset: int
    size: int


def members(file: BinaryIO, size: int, *, seek: bool) -> Iterator[Member]:
    """The regular members of a tar file of `size` bytes. It is read from its start to its end, or with `seek` its
    headers are. Raises DamagedShard, OSError."""
    walk = _Walk(file, size, seek)
    extended: dict[str, str] = {}
    start = 0
    while (header := walk.header()) is not None:
        found, at = header
        if found.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            extended = {**extended, **_records(walk.content(found, at), at)}
        elif found.type == tarfile.GNUTYPE_LONGNAME:
            extended["path"] = walk.content(found, at).rstrip(b"\0").decode(errors="surrogateescape")
        elif found.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            walk.skip(found.size, at)
        else:
            length = _size(extended.get("size"), found.size, at)
            name = extended.get("path", found.name)
            if found.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in extended):
                raise DamagedShard(f"`{name}` at byte {start} is a sparse file, which is not read")
            # Links, folders and devices have no bytes, whatever their size says.
            held = length if found.isfile() else 0
            offset = walk.position
            walk.skip(held, at, name)
            if found.isfile():
                yield Member(name, start, offset, held)
            extended, start = {}, walk.position
            continue
    if extended:
        raise DamagedShard(f"it ends at byte {walk.position} between an extended header and its file")


def samples(found: Iterator[Member]) -> Iterator[tuple[str, dict[str, tuple[int, int]]]]:
    """The samples of `found` in order: key, and offset and size by kind; the last one at the latest when the file ends.

    Raises DamagedShard where a kind comes twice in a sample, or a key comes back behind other samples.
    """
    key: str | None = None
    kinds: dict[str, tuple[int, int]] = {}
    met: set[bytes] = set()
    for member in found:
        own, kind = split(member.name)
        if not kind:
            continue
        if own != key:
            if key is not None:
                yield key, kinds
            encoded = own.encode(errors="surrogateescape")
            if encoded in met:
                raise DamagedShard(
                    f"sample `{own}` comes back at byte {member.header}, behind others: the members of a sample must"
                    " follow each other (`tar --sort=name` writes them so)"
                )
            met.add(encoded)
            key, kinds = own, {}
        if kind in kinds:
            raise DamagedShard(f"sample `{own}` has two members `.{kind}`, the second at byte {member.header}")
        kinds[kind] = member.offset, member.size
    if key is not None:
        yield key, kinds


def split(name: str) -> tuple[str, str]:
    """The name of the sample and the kind, in lower case; the kind is empty for a member without a dot."""
    folder, slash, file = name.removeprefix("./").rpartition("/")
    if file.startswith("."):  # hidden files, such as those that some systems add
        return name, ""
    stem, _, kind = file.partition(".")
    return f"{folder}{slash}{stem}", kind.lower()


class _Walk:
    """A position in the stream that only goes forward."""

    def __init__(self, file: BinaryIO, size: int, seek: bool) -> None:
        self.file, self.size, self.seek, self.position = file, size, seek, 0

    def header(self) -> tuple[tarfile.TarInfo, int] | None:
        """The next header and its place; None at the end-of-archive marker, behind which there must be nothing."""
        at = self.position
        block = self._read(BLOCK)
        if at == 0:
            _check_compression(block)
        if not block:
            raise DamagedShard(f"it ends at byte {at} without the end-of-archive marker" if at else "it is empty")
        if len(block) < BLOCK:
            raise DamagedShard(f"it is cut off within the header at byte {at}")
        try:
            found = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # a block of zeros
            if any(self._read(TAIL)):
                raise DamagedShard(f"there is something behind the end-of-archive marker at byte {at}") from None
            return None
        except (tarfile.HeaderError, ValueError) as error:
            if at == 0:
                raise DamagedShard("it is no tar file") from error
            raise DamagedShard(f"the header at byte {at} is damaged: {error}") from error
        if found.size < 0:
            raise DamagedShard(f"the header at byte {at} has a size of {found.size}")
        return found, at

    def content(self, header: tarfile.TarInfo, at: int) -> bytes:
        """Of an extended header."""
        if header.size > MOST_HEADER:
            raise DamagedShard(f"the extended header at byte {at} has a size of {header.size}")
        stored = self._read(_padded(header.size))
        if len(stored) < header.size:
            raise DamagedShard(f"it is cut off within the extended header at byte {at}")
        return stored[: header.size]

    def skip(self, size: int, at: int, name: str = "") -> None:
        """Passes over what belongs to the header at `at`."""
        if self.position + size > self.size:
            within = f"`{name}`, whose header is" if name else "an extended header"
            raise DamagedShard(f"it is cut off within {within} at byte {at}: {size} bytes, the file ends before")
        left = _padded(size)
        if self.seek:
            self.file.seek(self.position + left)
            self.position += left
            return
        while left > 0 and (read := self._read(min(left, STREAMED))):
            left -= len(read)

    def _read(self, count: int) -> bytes:
        """Fewer bytes only at the end; a stream may give less than it is asked for."""
        parts: list[bytes] = []
        while count > 0 and (part := self.file.read(count)):
            parts.append(part)
            count -= len(part)
            self.position += len(part)
        return b"".join(parts)


def _check_compression(start: bytes) -> None:
    for magic, name in COMPRESSED.items():
        if start.startswith(magic):
            raise DamagedShard(f"it is compressed ({name}); unpack it first, images gain nothing from it")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _size(written: str | None, size: int, at: int) -> int:
    if written is None:
        return size
    if not (written.isascii() and written.isdigit() and len(written) < 20):
        raise DamagedShard(f"the extended header before byte {at} has a size of {written[:20]}, which is none")
    return int(written)


def _records(stored: bytes, at: int) -> dict[str, str]:
    """`30 path=...\n` and so on, each with its own length in front."""
    found: dict[str, str] = {}
    while stored and stored.strip(b"\0"):
        length, space, _ = stored.partition(b" ")
        end = int(length) if space and len(length) < 8 and length.isdigit() else 0
        key, _, value = stored[len(length) + 1 : end].partition(b"=")
        if end > len(stored) or not value.endswith(b"\n"):
            raise DamagedShard(f"the extended header at byte {at} is damaged")
        found[key.decode(errors="surrogateescape")] = value[:-1].decode(errors="surrogateescape")
        stored = stored[end:]
    return found
