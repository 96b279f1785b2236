"""Commands before `compile` run without torch and numpy; benchmarks/startup.py says how long they take."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.architecture.code import ROOT

COMMANDS = {
    "init": ["init"],
    "check": ["check", "recipes"],
    "fmt": ["fmt", "--check", "recipes"],
    "resolve": ["resolve", "recipes/m3i_digits.m3i"],
    "table": ["table", "recipes/m3i_digits.m3i"],
    "graph": ["graph", "recipes/m3i.m3i"],
    "explain": ["explain", "M3I0602"],
    "vocab": ["vocab"],
    "opt": ["opt", "recipes/m3i.m3i"],
    "runs": ["runs"],
}

_PROGRAM = """
import json, sys
from m3i_dsl.cli.main import main
try:
    code = main({arguments})
except SystemExit as exit:
    code = exit.code
loaded = {{name.split(".")[0] for name in sys.modules}}
heavy = sorted(loaded & {{"torch", "numpy", "timm", "sklearn", "pyarrow", "PIL"}})
print(json.dumps({{"code": code or 0, "heavy": heavy}}), file=sys.stderr)
"""


def _run(arguments: list[str]) -> dict[str, object]:
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(arguments=arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    report: dict[str, object] = json.loads(process.stderr.splitlines()[-1])
    return report


@pytest.mark.parametrize("command", COMMANDS)
def test_no_torch_and_no_numpy_before_compile(command: str) -> None:
    report = _run(COMMANDS[command])
    assert report["code"] == 0
    assert report["heavy"] == []
