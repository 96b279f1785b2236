"""The recipes of the repository, checked, for the tests of drawings."""

from __future__ import annotations

import functools
from pathlib import Path

from m3i_dsl.cli.options import is_part
from m3i_dsl.drawing import Drawing, draw
from m3i_dsl.driver import check_file
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile, read_file

ROOT = Path(__file__).parents[2]
NAMES = [
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "recipes").rglob("*.m3i"))
    if path.parent.name != "official" and not is_part(read_file(path))
]


@functools.cache
def program_of(name: str) -> Program:
    """The program of a recipe of the repository."""
    return check_file(read_file(ROOT / name)).required()


@functools.cache
def drawing_of(name: str) -> Drawing:
    """Its drawing."""
    return draw(program_of(name))


def drawn(text: str) -> Drawing:
    """The drawing of a recipe's text."""
    return draw(check_file(SourceFile("recipe.m3i", text)).required())
