"""`m3i_dsl.__all__` is the promise: its names, their signatures, and that each says what it does."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import m3i_dsl

MAY_FAIL = (
    "parse",
    "read",
    "run",
    "Recipe.compile",
    "Compiled.train",
    "Compiled.module",
    "Run.metrics",
    "Run.evaluate",
    "Run.encoder",
    "Run.export",
    "Picture.save",
)
"""What reads or writes files, runs and recipes."""

GOLDEN = Path(__file__).with_name("signatures.txt")


def _public() -> Iterator[tuple[str, Any]]:
    for name in m3i_dsl.__all__:
        value = getattr(m3i_dsl, name)
        if not inspect.isclass(value):
            yield name, value
            continue
        yield name, value
        for member, inner in vars(value).items():
            if not member.startswith("_"):
                yield f"{name}.{member}", inner


def _signature(name: str, value: Any) -> str:
    if isinstance(value, property):
        return f"{name}: {inspect.signature(value.fget).return_annotation}"  # type: ignore[arg-type]
    if callable(value):
        return f"{name}{inspect.signature(value)}"
    return f"{name}: {type(value).__name__}"


def test_the_signatures_are_as_promised(bless: bool) -> None:
    """A change of this file is a change of the promise: it goes into CHANGELOG.md."""
    found = "".join(f"{_signature(name, value)}\n" for name, value in _public())
    if bless:
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_every_name_says_what_it_does() -> None:
    undocumented = [
        name
        for name, value in _public()
        if (callable(value) or isinstance(value, property)) and not inspect.getdoc(value)
    ]
    assert undocumented == []


def test_what_may_fail_says_how() -> None:
    """A promised function that reads a file, a run or a recipe names what it raises."""
    silent = [name for name in MAY_FAIL if "Raises" not in (inspect.getdoc(dict(_public())[name]) or "")]
    assert silent == []


def test_a_name_that_is_not_promised_is_an_attribute_error() -> None:
    assert not hasattr(m3i_dsl, "driver_of_nothing")
    assert set(m3i_dsl.__all__) <= set(dir(m3i_dsl))


def test_reading_a_recipe_imports_no_torch() -> None:
    program = (
        "import sys, m3i_dsl as m3i\n"
        "recipe = m3i.read('recipes/mae.m3i')\n"
        "recipe.table(), recipe.graph(), recipe.resolve(), recipe.check()\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
