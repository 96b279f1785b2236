"""The layout, by pairs of files: `name.in.m3i` becomes `name.out.m3i`."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax.format import format_text

FOLDER = Path(__file__).parent
INPUTS = sorted(FOLDER.glob("*.in.m3i"))


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name.removesuffix(".in.m3i"))
def test_layout(path: Path, bless: bool) -> None:
    with path.open(encoding="utf-8", newline="") as stream:
        formatted = format_text(SourceFile(path.name, stream.read()))
    expected = path.with_name(path.name.replace(".in.", ".out."))
    if bless:
        expected.write_text(formatted, encoding="utf-8")
    assert expected.read_text(encoding="utf-8") == formatted
    assert format_text(SourceFile(path.name, formatted)) == formatted


def test_every_expected_file_has_its_input() -> None:
    outputs = {path.name.removesuffix(".out.m3i") for path in FOLDER.glob("*.out.m3i")}
    assert outputs == {path.name.removesuffix(".in.m3i") for path in INPUTS}


def test_a_text_with_a_fault_is_not_touched() -> None:
    with pytest.raises(RecipeError):
        format_text(SourceFile("recipe.m3i", "param a 1\n"))


def test_an_empty_text_stays_empty() -> None:
    assert format_text(SourceFile("recipe.m3i", "")) == ""
    assert format_text(SourceFile("recipe.m3i", "\n\n\n")) == ""
