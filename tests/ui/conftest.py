"""Collects `bad_*.m3i`: what `m3ic check` says about it must be exactly what the `.stderr` file beside it holds.

A mark `#~ M3I0003` says that a diagnostic of that code is on that line, `#~^ M3I0003` on the line above. Marks and
diagnostics must match one to one, so that a golden file that was blessed without being read does not hide a change.
Files that do not start with `bad_` are there to be used by others. In `syntax/` only the syntax is checked; elsewhere
everything.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from m3i_dsl.diagnostics import Diagnostic, render
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax.load import load_recipe

_MARK = re.compile(r"#~(\^*) (M3I\d{4}(?: M3I\d{4})*)")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix == ".m3i" and file_path.name.startswith("bad_"):
        return BadFile.from_parent(parent, path=file_path)
    return None


class BadFile(pytest.File):
    def collect(self) -> Iterable[pytest.Item]:
        yield BadRecipe.from_parent(self, name=self.path.stem)


class BadRecipe(pytest.Item):
    """One recipe and its golden file."""

    def runtest(self) -> None:
        found, rendered = _check(self.path)
        text = self.path.read_text(encoding="utf-8")
        marked, reported = _marks(text), _reported(found, self.path.name)
        assert marked == reported, (
            f"marks without a diagnostic: {marked - reported}, without a mark: {reported - marked}"
        )
        golden = self.path.with_suffix(".stderr")
        if self.config.getoption("--bless"):
            golden.write_text(rendered, encoding="utf-8")
        assert golden.exists(), f"no {golden.name}: run pytest with --bless, and read it"
        assert golden.read_text(encoding="utf-8") == rendered

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return super().repr_failure(excinfo, style="short")

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.parent.name}/{self.name}"


def _check(path: Path) -> tuple[list[Diagnostic], str]:
    # Names in messages are relative to the folder of the recipe, whatever the machine.
    with contextlib.chdir(path.parent):
        file = SourceFile(path.name, Path(path.name).read_text(encoding="utf-8"))
        if path.parent.name == "syntax":
            found = list(load_recipe(file).diagnostics)
        else:
            from m3i_dsl.driver import check_file

            found = list(check_file(file).diagnostics)
        return found, render(found)


def _marks(text: str) -> Counter[tuple[int, str]]:
    return Counter(
        (number - len(match.group(1)), code)
        for number, line in enumerate(text.splitlines(), start=1)
        for match in _MARK.finditer(line)
        for code in match.group(2).split()
    )


def _reported(found: Iterable[Diagnostic], name: str) -> Counter[tuple[int, str]]:
    """What is in this file; faults of used files are seen in the golden file."""
    return Counter((d.span.line, d.code) for d in found if d.span.file.name == name)
