"""Finding the files of a source.

Takes: a path or a pattern as written in a recipe, and the recipe's folder. Gives: existing paths, in an order that
does not depend on the file system. Guarantees: what is missing is a WordError at the argument that named it, with the
nearest name.
"""

from __future__ import annotations

import errno
import os
import stat
from glob import has_magic
from pathlib import Path

from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.source.regular import read_regular
from m3i_dsl.vocabulary.kinds import WordError

MOST_BYTES = 1 << 30
"""Of one file of a sample: more would be no image that a machine decodes by the dozen."""


def located(path: str, base: Path) -> Path:
    """`path`, relative to `base` unless absolute; `~` is the home folder."""
    return base / Path(path).expanduser()


def existing(path: str, base: Path, argument: str) -> Path:
    """The file or folder at `path`; a pipe or a device, which may never end, is refused."""
    found = located(path, base)
    try:
        mode = found.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise WordError(f"there is no `{path}`", argument=argument, help=_missing(found)) from None
    except (OSError, ValueError) as error:  # a loop of links, no permission; a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise WordError(f"`{path}` cannot be read: {reason}", argument=argument) from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise WordError(f"`{path}` is neither a file nor a folder, but a pipe, a device or a socket", argument=argument)
    return found


def lack_of_machine(error: Exception) -> None:
    """Raises WordError for an error that says nothing of the file: the machine, or its limits, has no more to give. A
    sample must not be taken for broken by it."""
    if isinstance(error, OSError) and error.errno in _LACKS:
        raise WordError(
            f"no file can be opened: {os.strerror(error.errno).lower()}",
            help="raise the limit of open files with `ulimit -n`, or use fewer `--workers`",
        ) from error


_LACKS = (errno.EMFILE, errno.ENFILE)


def content(path: Path) -> bytes:
    """All bytes of a file of a sample. Raises OSError, also for what is no file or larger than MOST_BYTES."""
    return read_regular(path, MOST_BYTES)


def matching(pattern: str, base: Path, argument: str, suffix: str) -> list[Path]:
    """The files that `pattern` names: a file, a pattern with `*`, or a folder of files that end in `suffix`."""
    if not has_magic(pattern):
        found = existing(pattern, base, argument)
        paths = sorted(path for path in found.rglob(f"*{suffix}") if path.is_file()) if found.is_dir() else [found]
    else:
        absolute = located(pattern, base).absolute()
        anchor = Path(absolute.anchor)
        paths = sorted(path for path in anchor.glob(str(absolute.relative_to(anchor))) if path.is_file())
    if not paths:
        raise WordError(
            f"no file matches `{pattern}`", argument=argument, help=f"paths are relative to the recipe's folder, {base}"
        )
    return paths


def _missing(path: Path) -> str:
    """What to say about a path that does not exist: a near name, or the folder that is missing already."""
    parent = path.parent
    if not parent.is_dir():
        return f"there is no folder {parent}"
    near = help_for(path.name, sorted(entry.name for entry in parent.iterdir()))
    return near[0] if near else f"looked in {parent}"
