"""The files of the repository and of the package, for the tests of this folder."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "m3i_dsl"

_NOT_OURS = {".git", ".venv", "venv", "target", "runs", "dist", "build", "__pycache__", "node_modules", ".peers"}
_CACHES = (".ruff_cache", ".pytest_cache", ".hypothesis")


def files(*suffixes: str, under: Path = ROOT) -> list[Path]:
    """All files of ours below `under` with one of `suffixes` (all, if none is given), sorted."""
    return sorted(path for path in _walk(under) if not suffixes or path.suffix in suffixes)


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir():
            own = entry.name not in _NOT_OURS and entry.name not in _CACHES and not entry.name.endswith(".egg-info")
            if own and not entry.is_symlink():
                yield from _walk(entry)
        elif entry.is_file() and entry.name not in _NOT_OURS:  # a linked work tree has a file `.git`
            yield entry


def modules() -> list[Path]:
    """The Python files of the package."""
    return files(".py", under=PACKAGE)


@functools.cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def shown(path: Path) -> str:
    """A path as messages show it."""
    return path.relative_to(ROOT).as_posix()


def parts(path: Path) -> tuple[str, ...]:
    """The dotted name of a module without the package's own: `("ir", "text")`, and `()` for the package itself."""
    names = path.relative_to(PACKAGE).with_suffix("").parts
    return names[:-1] if names[-1] == "__init__" else names
