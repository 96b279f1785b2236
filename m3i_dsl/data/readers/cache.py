"""A folder of files that can be made again: fetched shards and the indexes of shards.

Takes: a key and a way to make its file. Gives: the path of the file. Guarantees: a file is made once, whichever of the
machine's processes asks first, and appears whole (by rename); the folder stays within its limit by dropping what was
used longest ago. A file that is open outlives its removal.

`M3IC_CACHE` is the folder (default: `m3ic` in `$XDG_CACHE_HOME` or `~/.cache`), `M3IC_CACHE_SIZE` the limit (`200GB`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import re
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from m3i_dsl.vocabulary.kinds import WordError

LIMIT = 50 * 10**9

CHECKSUM = 64
"""Bytes in front of what is kept; as many as arrays behind it are aligned to."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

STRIPES = 256
"""Lock files: two keys may share one and then wait for each other, which costs time only."""


_held = threading.local()
"""The lock that this thread holds."""


@dataclass(frozen=True, slots=True)
class Cache:
    """The files below `folder`, `limit` bytes of them at most, but for the one asked for last."""

    folder: Path
    limit: int

    def file(self, key: str, suffix: str, make: Callable[[Path], None]) -> Path:
        """The file of `key`, made by `make(path)` unless it is there. `make` may not ask for another file.

        Raises what `make` raises, and WordError when the folder has no room or cannot be written.
        """
        target = self._target(key, suffix)
        if _touched(target):
            return target
        with self._writing(), self._locked(target.name[:2]):
            if _touched(target):  # another process made it meanwhile
                return target
            part = target.with_name(f"{target.name}.part{os.getpid()}")
            try:
                make(part)
                with part.open("rb") as written:
                    os.fsync(written.fileno())  # or a crash could leave a name without its bytes
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        self._shrink(target)
        return target

    def kept(self, key: str, suffix: str) -> memoryview | None:
        """What `content` has kept for `key`, if anything whole."""
        target = self._target(key, suffix)
        return _verified(target) if _touched(target) else None

    def content(self, key: str, suffix: str, make: Callable[[], bytes]) -> bytes | memoryview:
        """What `make` gave for `key`, mapped from its file, which is made again when its checksum is wrong.

        Raises what `make` raises, and WordError as `file` does.
        """

        def write(target: Path) -> None:
            made = make()
            target.write_bytes(_checksum(made) + made)

        for _ in range(2):
            path = self.file(key, suffix, write)
            if (kept := _verified(path)) is not None:
                return kept
            path.unlink(missing_ok=True)
        return make()  # the folder does not keep what is written to it

    def _target(self, key: str, suffix: str) -> Path:
        return self.folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}{suffix}"

    def _shrink(self, keep: Path) -> None:
        """Drops the files that were used longest ago until the rest fits."""
        with self._locked("shrink"):
            found: list[tuple[float, int, str]] = []
            for entry in os.scandir(self.folder):
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file():
                        status = entry.stat()
                        found.append((status.st_mtime, status.st_size, entry.path))
            excess = sum(size for _, size, _ in found) - self.limit
            for _, size, path in sorted(found):
                if excess <= 0:
                    return
                if path != str(keep) and ".part" not in path:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
                    excess -= size

    @contextlib.contextmanager
    def _locked(self, name: str) -> Generator[None]:
        """Alone among all processes that use this folder."""
        if getattr(_held, "name", None) is not None:
            raise AssertionError(f"`{name}` is wanted while `{_held.name}` is held: two processes could wait for ever")
        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # freed when the file is closed, also by the death of the process
            _held.name = name
            try:
                yield
            finally:
                _held.name = None

    @contextlib.contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                raise
            if error.filename is not None and not str(error.filename).startswith(str(self.folder)):
                raise
            raise WordError(
                f"the cache folder {self.folder} cannot be written: {error.strerror}",
                help="set `M3IC_CACHE` to a folder with room, or `M3IC_CACHE_SIZE` to less than there is",
            ) from error


def _checksum(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=CHECKSUM).digest()


def _verified(path: Path) -> memoryview | None:
    """The content of a file that begins with its checksum; None for one that is damaged or gone."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= CHECKSUM:
                return None
            mapped = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    except OSError:
        return None
    return mapped[CHECKSUM:] if bytes(mapped[:CHECKSUM]) == _checksum(mapped[CHECKSUM:]) else None


def user_cache() -> Cache:
    """The cache of this user. Raises WordError for a limit that is no size."""
    written = os.environ.get("M3IC_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(written) if written else Path(home) / "m3ic"
    return Cache(folder.expanduser(), size_of(os.environ.get("M3IC_CACHE_SIZE")))


def size_of(written: str | None) -> int:
    """Bytes of `200GB`, `1.5TB` or a plain number; the default for None."""
    if not written:
        return LIMIT
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", written, re.IGNORECASE)
    if match is None:
        raise WordError(f"M3IC_CACHE_SIZE is `{written}`, which is no size", help="write `200GB` or a number of bytes")
    return int(float(match.group(1)) * UNITS[match.group(2).upper()])


def _touched(path: Path) -> bool:
    """Whether it is there; if so, it is used last from now on."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # a folder shared for reading only
        return path.exists()
    return True
