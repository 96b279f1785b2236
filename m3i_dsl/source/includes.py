"""Where the text of a used file comes from.

Takes: the path in a `use` statement and the file that it stands in. Gives: a `SourceFile`, from disk or from memory,
and an identity for it, by which a file used twice is read once. Guarantees: nothing but the named file is read; what
goes wrong is said by an exception, with the names that were perhaps meant.
"""

from __future__ import annotations

import difflib
import posixpath
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from m3i_dsl.source.regular import NotRegular, read_regular
from m3i_dsl.source.text import SourceFile, Span

LARGEST = 1 << 20
"""Bytes of the largest text that is read as part of a recipe."""


class MissingFile(Exception):
    """No such file. `near` are the names of files next to it that look alike."""

    def __init__(self, name: str, near: tuple[str, ...]) -> None:
        super().__init__(name)
        self.name = name
        self.near = near


class UnreadableFile(Exception):
    """The file is there, but is not a text; `reason` says why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Reader(Protocol):
    """Finds used files."""

    @abstractmethod
    def identity(self, file: SourceFile) -> str:
        """The same for two names of one file."""

    @abstractmethod
    def read(self, path: str, user: SourceFile, place: Span) -> SourceFile:
        """The file that `use "path"` at `place` in `user` names. Raises MissingFile or UnreadableFile."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Files as they are; a path starts at the folder of the file that uses it."""

    def identity(self, file: SourceFile) -> str:
        return str(Path(file.name).resolve())

    def read(self, path: str, user: SourceFile, place: Span) -> SourceFile:
        name = path if Path(path).is_absolute() else posixpath.join(posixpath.dirname(user.name), path)
        return read_file(Path(name), place)


@dataclass(frozen=True, slots=True)
class InMemory:
    """Texts by name, before those on disk: unsaved buffers of an editor, and tests. `disk` None reads no file."""

    texts: Mapping[str, str]
    disk: Disk | None = field(default=None)

    def identity(self, file: SourceFile) -> str:
        return posixpath.normpath(file.name) if self.disk is None else self.disk.identity(file)

    def read(self, path: str, user: SourceFile, place: Span) -> SourceFile:
        name = posixpath.normpath(posixpath.join(posixpath.dirname(user.name), path))
        if name in self.texts:
            return SourceFile(name, self.texts[name], place)
        if self.disk is not None:
            found = self.disk.read(path, user, place)
            return SourceFile(posixpath.normpath(found.name), found.text, place)  # as a text in memory is called
        raise MissingFile(name, tuple(difflib.get_close_matches(name, self.texts, n=2)))


DISK = Disk()


def read_file(path: Path, place: Span | None = None) -> SourceFile:
    """The text of `path`, without a byte order mark. Raises MissingFile or UnreadableFile."""
    name = str(path)
    try:
        # Line ends stay as they are: offsets count the characters of the file.
        return SourceFile(name, read_regular(path, LARGEST).decode("utf-8-sig"), place)
    except FileNotFoundError:
        raise MissingFile(name, _near(path)) from None
    except UnicodeDecodeError as fault:
        raise UnreadableFile(name, f"byte {fault.start} is not UTF-8") from None
    except NotRegular as fault:
        raise UnreadableFile(name, fault.reason) from None
    except OSError as fault:
        raise UnreadableFile(name, (fault.strerror or "cannot be read").lower()) from None


def _near(path: Path) -> tuple[str, ...]:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix == ".m3i"]
    except OSError:
        return ()
    return tuple(difflib.get_close_matches(path.name, names, n=2, cutoff=0.7))
