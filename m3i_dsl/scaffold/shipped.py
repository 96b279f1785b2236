"""The recipes that come with m3ic, and copies of them.

Takes: the name of a recipe and a folder. Gives: the files that were written. Guarantees: all of a recipe's files are
written or none; a file that is there and differs is never overwritten.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from m3i_dsl.front.wrong_use import WrongUse
from m3i_dsl.source import read_file
from m3i_dsl.syntax.load import load_recipe

_INSTALLED = Path(__file__).parents[1] / "recipes"
_CHECKOUT = Path(__file__).parents[2] / "recipes"

_HEADER = re.compile(r"^# Source: (?P<source>.+)$", re.MULTILINE)
_IS_RECIPE = re.compile(r"^recipe \w+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shipped:
    """A recipe: its name, such as "mae" or "table/02_clip", its file, and the source that its header names."""

    name: str
    path: Path
    source: str


def folder() -> Path:
    """`recipes/`; a wheel carries a copy inside the package."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def shipped() -> tuple[Shipped, ...]:
    """Every recipe, by name; files that are only used by others are none."""
    found: list[Shipped] = []
    for path in sorted(folder().rglob("*.m3i")):
        text = path.read_text(encoding="utf-8")
        if _IS_RECIPE.search(text):
            header = _HEADER.search(text)
            name = path.relative_to(folder()).with_suffix("").as_posix()
            found.append(Shipped(name, path, header["source"] if header else ""))
    return tuple(sorted(found, key=lambda recipe: (recipe.name.count("/"), recipe.name)))


def named(name: str) -> Shipped:
    """The recipe `name`. Raises WrongUse with the names that were perhaps meant."""
    recipes = {recipe.name: recipe for recipe in shipped()}
    if found := recipes.get(name.removesuffix(".m3i")):
        return found
    near = difflib.get_close_matches(name, recipes, n=2)
    meant = f"; did you mean {' or '.join(f'`{other}`' for other in near)}?" if near else ""
    raise WrongUse(f"there is no recipe `{name}`{meant} (`m3ic init` lists them)")


def texts(recipe: Shipped) -> dict[PurePosixPath, str]:
    """The texts of a recipe's files by their path from a new folder, the recipe itself first."""
    sources = [Path(source.name) for source in load_recipe(read_file(recipe.path)).sources]
    resolved = [Path(os.path.normpath(path)) for path in sources]
    top = Path(os.path.commonpath([path.parent for path in resolved]))
    return {PurePosixPath(path.relative_to(top).as_posix()): path.read_text(encoding="utf-8") for path in resolved}


def write(files: Mapping[PurePosixPath, str], into: Path) -> tuple[Path, ...]:
    """Writes what is not there yet, and returns its paths. Raises WrongUse before anything is written."""
    new: dict[Path, str] = {}
    for name, text in files.items():
        path = into / name
        if not path.exists():
            new[path] = text
        elif path.is_dir() or path.read_bytes() != text.encode():
            raise WrongUse(f"`{path}` is there and differs; write into another folder with `-o FOLDER`")
    written: list[Path] = []
    try:
        for path, text in new.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="") as file:
                written.append(path)
                file.write(text)
    except OSError as fault:
        for path in written:
            path.unlink(missing_ok=True)
        raise WrongUse(f"`{into}` cannot be written: {(fault.strerror or str(fault)).lower()}") from None
    return tuple(new)
