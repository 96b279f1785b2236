"""Finding the files of a source.

Takes: a path or a pattern as written in a recipe, and the recipe's folder. Gives: existing paths, in an order that
does not depend on the file system. Guarantees: what is missing is a WordError at the argument that named it, with the
nearest name.
"""

from __future__ import annotations

from glob import has_magic
from pathlib import Path

from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.vocabulary.kinds import WordError


def located(path: str, base: Path) -> Path:
    """`path`, relative to `base` unless absolute; `~` is the home folder."""
    return base / Path(path).expanduser()


def existing(path: str, base: Path, argument: str) -> Path:
    """The file or folder at `path`."""
    found = located(path, base)
    if not found.exists():
        raise WordError(f"there is no `{path}`", argument=argument, help=_missing(found))
    return found


def matching(pattern: str, base: Path, argument: str, suffix: str) -> list[Path]:
    """The files that `pattern` names: a file, a pattern with `*`, or a folder of files that end in `suffix`."""
    if not has_magic(pattern):
        found = existing(pattern, base, argument)
        paths = sorted(found.rglob(f"*{suffix}")) if found.is_dir() else [found]
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
