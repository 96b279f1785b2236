"""How long the compiler takes before torch: from the text of M3I to its graph after all passes, and `m3ic check`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.speed.cases.case import Context
from benchmarks.speed.outcome import Outcome, Target

ROOT = Path(__file__).parents[3]

GRAPH = """
import sys
from m3i_dsl.driver import check_file, graphs
from m3i_dsl.source import read_file
from pathlib import Path
plain, graph = graphs(check_file(read_file(Path("recipes/m3i.m3i"))).required())
assert graph.equations and "torch" not in sys.modules, "torch was imported"
"""


def commands(context: Context) -> Outcome:
    """Each in a process of its own, start of Python included."""
    sides: dict[str, Callable[[], object]] = {
        "recipe to graph": lambda: _run("-c", GRAPH),
        "m3ic check": lambda: _run("-m", "m3i_dsl.cli.main", "check", "recipes/m3i.m3i"),
        "python alone": lambda: _run("-c", "pass"),
    }
    times = context.timed(sides)
    seconds = times["recipe to graph"].minimum
    target = Target("M3I: seconds from recipe to graph, without torch", 1.0, "at most", seconds)
    return Outcome("latency", "recipe to graph", times, targets=(target,))


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)


CASES: Mapping[str, Callable[[Context], Outcome]] = {"latency": commands}
