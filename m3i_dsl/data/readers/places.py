"""Where the files of a source lie: on this machine or behind a URL.

Takes: a path or URL as written in a recipe, with braces or `*`. Gives: `StoragePlace`s in a fixed order. Guarantees: a
remote file is read from the cache, into which it is fetched whole, by one process of the machine; what cannot be
reached is tried again a few times and then an `Unreachable`, never a wait without end.

Remote protocols are http(s), s3, gs and hf, by fsspec. What they need is an extra of this package.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import importlib.util
import itertools
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any, BinaryIO

from m3i_dsl.data.readers.cache import user_cache
from m3i_dsl.data.readers.files import matching
from m3i_dsl.vocabulary.kinds import WordError

EXTRAS = {
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
    "hf": ("huggingface_hub", "huggingface"),
}
"""By protocol: the module that fsspec needs, and our extra that installs it."""

PROTOCOLS = ("file", *EXTRAS)
"""Others of fsspec start programs, open other files or wrap one another."""

_READ = "http, https, s3, gs and hf can be, and local paths"

_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")

MOST_FILES = 10**6
MOST_DIGITS = 18

ATTEMPTS = 4
PAUSE_SECONDS = 1.0
"""Before the second attempt; each later one waits four times as long."""

CONNECT_SECONDS = 30.0
SILENT_SECONDS = 60.0
"""Of an http server that sends nothing more."""

MD5 = ("md5Hash", "Content-MD5")
"""Where gs and http say the MD5 of a file, in base64."""

FINAL = (FileNotFoundError, PermissionError, IsADirectoryError)
"""Trying again does not help."""


class Unreachable(OSError):
    """A remote file that is not there, or cannot be fetched."""


@dataclass(frozen=True, slots=True, order=True)
class StoragePlace:
    """One file. `url` is an absolute path, or has a protocol."""

    url: str

    @property
    def remote(self) -> bool:
        return is_remote(self.url)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.url.rsplit("/", 1)[-1]

    def local(self) -> Path:
        """The file on this machine, fetched if need be. Raises Unreachable, and WordError for a cache without room."""
        if not self.remote:
            return Path(self.url)
        info = self._tried(lambda files, path: dict(files.info(path)))
        version = info.get("ETag") or info.get("etag") or info.get("LastModified") or info.get("mtime") or ""
        size = info.get("size")
        return user_cache().file(f"{self.url}\0{version}\0{size}", "", lambda target: self._fetch(target, info))

    def open(self) -> BinaryIO:
        """The file for reading parts of it, without fetching all of it. Raises Unreachable."""
        if not self.remote:
            return Path(self.url).open("rb")
        return self._tried(lambda files, path: files.open(path, "rb"))

    def text(self) -> str | None:
        """The content of a small file; None where there is none, or none that may be read. Raises Unreachable."""
        try:
            with self.open() as file:
                return file.read().decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Unreachable as error:
            if isinstance(error.__cause__, FileNotFoundError | PermissionError):
                return None
            raise

    def size(self) -> int:
        """In bytes. Raises Unreachable, OSError."""
        if not self.remote:
            return Path(self.url).stat().st_size
        return int(self._tried(lambda files, path: files.size(path) or 0))

    def beside(self, name: str) -> StoragePlace:
        """Another file in the same folder."""
        return StoragePlace(f"{self.url.rsplit('/', 1)[0]}/{name}")

    def _fetch(self, target: Path, info: Mapping[str, Any]) -> None:
        """What is short of the size that the store gives, or has another MD5 where it gives one, is fetched again."""
        size, md5 = info.get("size"), _md5_of(info)

        def fetched(files: Any, path: str) -> None:
            files.get_file(path, str(target))
            got = target.stat().st_size
            if size is not None and got != size:
                raise ConnectionError(f"{got} of {size} bytes came")
            if md5 is not None:
                with target.open("rb") as file:
                    came = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
                if came != md5:
                    raise ConnectionError("what came has another checksum than the store says")

        self._tried(fetched)

    def _tried(self, action: Any) -> Any:
        files, path = _opened(self.url)
        for attempt in itertools.count(1):
            try:
                return action(files, path)
            except FINAL as error:
                raise Unreachable(f"{self.url}: {_reason(error)}") from error
            except Exception as error:  # each protocol has errors of its own
                if _no_room(error):
                    raise
                if attempt == ATTEMPTS:
                    raise Unreachable(f"{self.url}: {_reason(error)} ({attempt} attempts)") from error
                time.sleep(PAUSE_SECONDS * 4 ** (attempt - 1))
        raise AssertionError


def places(pattern: str, base: Path, argument: str, suffix: str) -> list[StoragePlace]:
    """The files that `pattern` names, in the order of its braces and, for `*`, of their names.

    `{00000..41407}` counts with leading zeros, `{train,extra}` lists, `*` matches names; a local folder means all its
    files that end in `suffix`. Raises WordError at `argument`.
    """
    found: list[StoragePlace] = []
    _check_count(pattern, argument)
    for written in braces(pattern, argument):
        if not is_remote(written):
            path = written.removeprefix("file://")
            found.extend(StoragePlace(str(path.absolute())) for path in matching(path, base, argument, suffix))
        else:
            found.extend(_remote_matches(written, argument))
    return found


def _check_count(pattern: str, argument: str) -> None:
    """Raises WordError for braces that stand for more files than any source has, before they are written out."""
    count = 1
    for inside in re.findall(r"\{([^{}]*)\}", pattern):
        counted = _RANGE.fullmatch(inside)
        if counted is None:
            count *= inside.count(",") + 1
        elif max(map(len, counted.groups())) > MOST_DIGITS:
            count = MOST_FILES + 1
        else:
            count *= max(1, int(counted.group(2)) - int(counted.group(1)) + 1)
        if count > MOST_FILES:
            raise WordError(
                f"`{pattern[:200]}` stands for more than {MOST_FILES:,} files",
                argument=argument,
                help="write the numbers of the first and of the last shard that are there",
            )


def is_remote(url: str) -> bool:
    """Whether it has a protocol other than `file`."""
    return "://" in url and not url.startswith("file://")


def braces(pattern: str, argument: str) -> Iterator[str]:
    """All that the braces of `pattern` stand for, the last one counting fastest. Raises WordError."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        if "{" in pattern or "}" in pattern:
            raise WordError(
                f"a brace of `{pattern}` has no other", argument=argument, help="write `{00000..41407}` or `{a,b}`"
            )
        yield pattern
        return
    for choice in _choices(match.group(1), pattern, argument):
        for rest in braces(pattern[match.end() :], argument):
            yield pattern[: match.start()] + choice + rest


def _choices(inside: str, pattern: str, argument: str) -> list[str]:
    counted = _RANGE.fullmatch(inside)
    if counted is None:
        if "," in inside:
            return inside.split(",")
        raise WordError(
            f"`{{{inside}}}` in `{pattern}` is neither a range nor a list",
            argument=argument,
            help="write `{00000..41407}` or `{a,b}`",
        )
    first, last = counted.group(1), counted.group(2)
    if int(first) > int(last):
        raise WordError(
            f"`{{{inside}}}` counts down", argument=argument, help=f"write `{{{last}..{first}}}`, the order is shuffled"
        )
    width = len(first) if first.startswith("0") or len(first) == len(last) else 0
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1)]


def _remote_matches(url: str, argument: str) -> list[StoragePlace]:
    try:
        files, path = _opened(url)
        if not has_magic(url):
            return [StoragePlace(url)]
        protocol = url.split("://", 1)[0]
        found = sorted(str(name) for name in files.glob(path))
    except WordError as fault:
        raise WordError(fault.message, argument=argument, help=fault.help) from fault
    except Exception as error:  # each protocol has errors of its own
        raise WordError(f"`{url}` cannot be listed: {_reason(error)}", argument=argument) from error
    if not found:
        raise WordError(f"no file matches `{url}`", argument=argument)
    return [StoragePlace(name if "://" in name else f"{protocol}://{name.lstrip('/')}") for name in found]


def _opened(url: str) -> tuple[Any, str]:
    """The file system of `url` and the path in it. fsspec keeps one for each process. Raises WordError."""
    import fsspec

    protocol = url.split("://", 1)[0]
    if "::" in protocol:
        raise WordError(f"`{protocol}://` is one address within another", help="name the files themselves")
    if protocol not in PROTOCOLS:
        raise WordError(f"`{protocol}://` is no protocol that can be read", help=_READ)
    module, extra = EXTRAS.get(protocol, (None, ""))
    if module is not None and importlib.util.find_spec(module) is None:
        raise WordError(
            f"`{protocol}://` needs {module}, which is not installed", help=f'run `pip install "m3ic[{extra}]"`'
        )
    try:
        return fsspec.url_to_fs(url, **_settings(protocol))
    except ImportError as error:
        raise WordError(f"`{protocol}://` cannot be read: {error}") from error
    except ValueError as error:
        raise WordError(f"`{protocol}://` is no protocol that can be read", help=_READ) from error


def _settings(protocol: str) -> dict[str, Any]:
    if protocol not in ("http", "https"):
        return {}
    aiohttp = importlib.import_module("aiohttp")
    # Not in all: a large shard may take long. But a server that falls silent must not stop training for ever.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    return {"client_kwargs": {"timeout": timeout}}


def _md5_of(info: Mapping[str, Any]) -> bytes | None:
    """The MD5 of a whole file, if the store says it; an ETag may be that of something else (parts, encrypted bytes)."""
    for name in MD5:
        with contextlib.suppress(ValueError):
            found = base64.b64decode(str(info.get(name) or ""), validate=True)
            if len(found) == hashlib.md5(usedforsecurity=False).digest_size:
                return found
    return None


def _no_room(error: Exception) -> bool:
    import errno

    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "not found"
    return str(error).split("\n")[0] or type(error).__name__
