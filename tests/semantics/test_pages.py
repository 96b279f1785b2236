"""Every code has a page, and the examples of the pages about meaning do what the pages say of them.

Examples of codes about data and lowering are compiled, the others are only checked. The examples of syntax codes are in
tests/syntax/test_catalogue.py; codes about artifacts and runs (06xx, 07xx) have none, since no recipe causes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

import m3i_dsl
from m3i_dsl.diagnostics import Diagnostic, RecipeError
from m3i_dsl.diagnostics.catalogue import MAIN_FILE, Example, codes, page
from m3i_dsl.diagnostics.fixes import fixed_texts
from m3i_dsl.driver import check_file, compile_program
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import parse_value

PACKAGE = Path(m3i_dsl.__file__).parent
GOLDENS = Path(__file__).parents[1] / "ui"
CODE = re.compile(r'"(M3I\d{4})"')

CHECKED = re.compile(r"M3I0(1[2-9]|2\d|3\d|8\d)\d")
COMPILED = re.compile(r"M3I0(4|5)\d\d")

OF_PACKAGES = frozenset({"M3I0131", "M3I0132", "M3I0133"})
"""A faulty package must be installed: tests/packages/."""

OF_SAMPLES = frozenset({"M3I0510", "M3I0511", "M3I0512", "M3I0513", "M3I0514", "M3I0515"})
"""Text makes no images: tests/data/test_proof.py."""

OF_RUNS = frozenset({"M3I0401", "M3I0403", "M3I0404", "M3I0520", "M3I0521", "M3I0522"})
"""A line of the IR, words that misstate their effects or shapes, a number of processes, damaged data and a dead
process."""

WITHOUT_EXAMPLE = OF_RUNS | OF_PACKAGES | OF_SAMPLES
"""No recipe alone causes them."""


def _reported_codes() -> set[str]:
    return {code for path in PACKAGE.rglob("*.py") for code in CODE.findall(path.read_text(encoding="utf-8"))}


def test_every_code_that_is_reported_has_a_page() -> None:
    assert _reported_codes() - set(codes()) == set()


def test_every_page_leads_out() -> None:
    """By an example, whose mended form is tried below, or in words."""
    pages = PACKAGE / "diagnostics" / "codes"
    texts = {code: (pages / f"{code}.md").read_text(encoding="utf-8") for code in codes()}
    assert [code for code, text in texts.items() if "## What to do" not in text and "```" not in text] == []


def test_every_page_is_of_a_code_that_is_reported() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert [code for code in codes() if code not in texts] == []


def test_every_code_about_recipes_is_shown_by_a_golden_file_or_an_example() -> None:
    shown = {
        code for path in GOLDENS.rglob("*.stderr") for code in re.findall(r"M3I\d{4}", path.read_text(encoding="utf-8"))
    }
    about_recipes = {code for code in codes() if CHECKED.fullmatch(code) or COMPILED.fullmatch(code)}
    assert about_recipes - shown - {code for code in about_recipes if page(code).failing is not None} == WITHOUT_EXAMPLE


def test_every_code_of_the_checker_has_a_golden_file() -> None:
    folder = GOLDENS / "semantics"
    shown = {
        code
        for path in folder.rglob("*.stderr")
        for code in re.findall(r"^\w+\[(M3I\d{4})\]", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    of_the_command_line = {"M3I0129", "M3I0204"}
    assert {code for code in codes() if CHECKED.fullmatch(code)} - shown == of_the_command_line | OF_PACKAGES - {
        "M3I0404"
    }


def _write(example: Example, folder: Path) -> SourceFile:
    for name, text in example.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return SourceFile(str(folder / MAIN_FILE), example.files[MAIN_FILE])


def _found(example: Example, folder: Path, *, compiled: bool) -> list[Diagnostic]:
    """What checking an example, and if asked for compiling it, reports."""
    file = _write(example, folder)
    assignments = dict(assignment.split("=", 1) for assignment in example.sets)
    settings = {name: parse_value(value, f"<--set {name}>") for name, value in assignments.items()}
    checked = check_file(file, settings)
    found = list(checked.diagnostics)
    if not compiled or checked.program is None:
        return found
    try:
        compile_program(checked.program, folder)
    except RecipeError as fault:
        found += fault.diagnostics
    return found


def _codes(found: Iterable[Diagnostic]) -> list[str]:
    return [diagnostic.code for diagnostic in found]


@pytest.mark.parametrize("code", [code for code in codes() if CHECKED.fullmatch(code) or COMPILED.fullmatch(code)])
def test_the_failing_example_has_the_fault_and_the_fixed_one_has_none(code: str, tmp_path: Path) -> None:
    example = page(code)
    if code in WITHOUT_EXAMPLE:
        assert example.failing is None
        return
    assert example.failing is not None
    assert example.fixed is not None
    compiled = COMPILED.fullmatch(code) is not None
    assert _codes(_found(example.failing, tmp_path, compiled=compiled)) == [code]
    assert _codes(_found(example.fixed, tmp_path, compiled=compiled)) == []


WITHOUT_HELP = frozenset({"M3I0125", "M3I0203", "M3I0205", "M3I0206", "M3I0402", "M3I0801"})
"""Their examples show what the message says by itself, such as two settings of one name."""


@pytest.mark.parametrize(
    "code", [c for c in codes() if page(c).failing is not None and (CHECKED.fullmatch(c) or COMPILED.fullmatch(c))]
)
def test_what_the_help_of_a_failing_example_says_leads_out(code: str, tmp_path: Path) -> None:
    """A fix is applied; what any other help asks for is the fixed example, which is tried above."""
    example, compiled = page(code), COMPILED.fullmatch(code) is not None
    assert example.failing is not None and example.fixed is not None
    found = _found(example.failing, tmp_path, compiled=compiled)
    assert all(diagnostic.helps or diagnostic.fix for diagnostic in found) or code in WITHOUT_HELP
    fixes = [replace(d, fix=replace(d.fix, safe=True)) for d in found if d.fix is not None]
    if fixes:
        files = {Path(file.name).name: text for file, (text, _) in fixed_texts(fixes).items()}
        mended = replace(example.failing, files={**example.failing.files, **files})
        assert _codes(_found(mended, tmp_path, compiled=compiled)) == []
