"""The command that plants faults finds what a test misses, and only that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.planted.sites import SWITCH, planted

ROOT = Path(__file__).parents[2]

MODULE = """
class Wrong(Exception):
    pass

def check(number, limit=None):
    if number < 0 and number % 2:
        yield "odd and negative"
    elif limit is not None and number > limit:
        message = "too large"
        yield message

def root(number):
    if number < 0:
        raise Wrong("negative")
    if not isinstance(number, (int, float)):
        raise TypeError(number)
    return number ** 0.5
"""

FAULTS = [
    "without: number < 0",
    "without: number % 2",
    "left out: yield 'odd and negative'",
    "without: number > limit",
    "left out: yield message",
    "always: number < 0",
    "left out: raise Wrong('negative')",
]


def test_every_report_and_every_clause_of_its_guard_is_a_site(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(MODULE, encoding="utf-8")
    tree, sites = planted(path, first=5)
    assert [site.what for site in sites] == FAULTS
    assert [site.line for site in sites] == [6, 6, 7, 8, 10, 13, 14]

    def module(on: int | None) -> dict[str, object]:
        names: dict[str, object] = {SWITCH: lambda number: number == on}
        exec(compile(tree, str(path), "exec"), names)
        return names

    def found(on: int | None, *arguments: object) -> list[str]:
        return list(module(on)["check"](*arguments))  # type: ignore[operator]

    assert found(None, -3) == ["odd and negative"] and found(None, 5, 4) == ["too large"] and found(None, -2) == []
    assert found(5, 3) == ["odd and negative"] and found(6, -2) == ["odd and negative"] and found(7, -3) == []
    assert found(8, 3, 4) == ["too large"] and found(9, 5, 4) == []
    with pytest.raises(Exception, match="negative"):
        module(10)["root"](4)  # type: ignore[operator]
    assert isinstance(module(11)["root"](-4), complex)  # type: ignore[operator]


TESTS = """
import pytest
from planted_example import Wrong, check, root

def test_odd():
    assert list(check(-3)) == ["odd and negative"] and list(check(-2)) == list(check(3)) == []

def test_root():
    assert root(4) == 2
    with pytest.raises(Wrong):
        root(-1)
"""

OF_THE_LIMIT = """
def test_limit():
    assert list(check(5, 4)) == ["too large"] and list(check(4, 4)) == []
"""


def run(folder: Path, tests: str) -> tuple[int, list[str]]:
    (folder / "planted_example.py").write_text(MODULE, encoding="utf-8")
    (folder / "test_example.py").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-m", "tests.planted", str(folder / "planted_example.py"), "--tests", str(folder), "-q"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, [
        line.replace(f"{folder}/", "") for line in done.stdout.splitlines() if "ran in" not in line
    ]


def test_what_no_test_notices_is_told(tmp_path: Path) -> None:
    code, lines = run(tmp_path, TESTS)
    assert code == 1
    assert lines[-3:] == [
        "7 faults, 2 NOT NOTICED",
        "planted_example.py:8: without: number > limit",
        "planted_example.py:10: left out: yield message",
    ]


def test_all_is_noticed(tmp_path: Path) -> None:
    assert run(tmp_path, TESTS + OF_THE_LIMIT)[0] == 0


def test_tests_that_fail_by_themselves_tell_nothing(tmp_path: Path) -> None:
    code, lines = run(tmp_path, TESTS + "def test_wrong():\n    assert False\n")
    assert code == 2 and any(line.endswith("test_example.py::test_wrong") for line in lines)
