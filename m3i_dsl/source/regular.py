"""Files that have an end.

Takes: a path that somebody wrote. Gives: its bytes, or the open file. Guarantees: what is no regular file (a pipe, a
device, a socket, a folder) is refused without waiting for it, and no more than `most` bytes are read of one.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISSOCK, "is a socket"),
)


class NotRegular(OSError):
    """What a path names is no file whose bytes could all be read; `reason` says what it is."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(0, reason, str(path))
        self.reason = reason


def open_regular(path: Path) -> BinaryIO:
    """The file, open for reading. Raises NotRegular, and OSError as `open` does."""
    if "\0" in str(path):
        raise NotRegular(path, "its name has a zero byte")
    # O_NONBLOCK: to open a pipe would wait for its writer, before anything can be asked about it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise NotRegular(path, next((what for test, what in _KINDS if test(mode)), "is not a file"))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, most: int) -> bytes:
    """All bytes of a file. Raises NotRegular also when there are more than `most`, which /proc can hide from `stat`."""
    with open_regular(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise NotRegular(path, f"is larger than {most >> 20} MiB")
    return content
