"""Putting a folder or a file in place as a whole.

Takes: names (also in folders inside, `stages/1-pixels/manifest.json`) and bytes. Gives: a folder that holds exactly
those files. Guarantees: at every moment, also after a crash
or a loss of power, the folder is the old one or the new one: files are written to a sibling folder, flushed to the disk
and swapped in. Where the system cannot swap two folders in one step there is an instant without either, which `recover`
mends.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def publish(folder: Path, files: Mapping[str, bytes]) -> None:
    """Makes `folder` hold exactly `files`. The caller has made sure that an existing one may go. Raises OSError."""
    folder = Path(os.path.realpath(folder))  # through a link, so that the link itself stays
    folder.parent.mkdir(parents=True, exist_ok=True)
    recover(folder)
    fresh = _sibling(folder, "new")
    shutil.rmtree(fresh, ignore_errors=True)  # left by a run that was killed
    fresh.mkdir()
    try:
        for name in sorted(files):
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            _write_flushed(fresh / name, files[name])
        for inner in {(fresh / name).parent for name in files} | {fresh}:
            _flush_folder(inner)
        _swap_in(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    _flush_folder(folder.parent)


def recover(folder: Path) -> None:
    """Puts back the old folder if a run was killed between moving it away and moving the new one in."""
    old = _sibling(folder, "old")
    if old.is_dir():
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(folder)


def replace_file(path: Path, content: bytes) -> None:
    """Replaces `path` as a whole. Raises OSError."""
    fresh = _sibling(path, "new")
    _write_flushed(fresh, content)
    fresh.replace(path)
    _flush_folder(path.parent)


def _swap_in(fresh: Path, folder: Path) -> None:
    """After it `folder` is what `fresh` was; the former folder is gone or lies under the name of `fresh`."""
    if not folder.exists():
        fresh.rename(folder)
    elif not _exchange(fresh, folder):
        old = _sibling(folder, "old")
        folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swaps two folders in one step (Linux renameat2). False where the C library or the file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))


def _sibling(path: Path, role: str) -> Path:
    """A hidden neighbour: on the same file system, and never taken for an artifact."""
    return path.parent / f".{path.name}.{role}"


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Flushes names; some file systems cannot, and lose nothing by it."""
    with contextlib.suppress(PermissionError, NotImplementedError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
