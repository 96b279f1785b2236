"""How long the commands take that answer at once: `python -m benchmarks.startup [--runs N]`.

Each command runs N times in a process of its own, after one run that is not counted (it writes the byte code). Prints
the least and the median of the time on the clock and of processor time, in milliseconds. The clock is what a user
waits for, on a machine with nothing else to do; processor time is comparable on a busy one. The aim is 300 ms for
each.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

COMMANDS = (
    ("check", "recipes/m3i.m3i"),
    ("fmt", "--check", "recipes/m3i.m3i"),
    ("resolve", "recipes/m3i.m3i"),
    ("table", "recipes/m3i.m3i"),
    ("explain", "M3I0301"),
    ("vocab", "predictor"),
)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="how often each command runs")
    runs = parser.parse_args().runs
    print(f"{'milliseconds':<34}{'clock':>16}{'processor':>16}")
    print(f"{'':<34}{'least':>8}{'median':>8}{'least':>8}{'median':>8}")
    for command in (("--version",), *COMMANDS):
        clock, processor = zip(*(measured(command) for _ in range(runs + 1)), strict=True)
        columns = [f(1e3 * t for t in times[1:]) for times in (clock, processor) for f in (min, statistics.median)]
        print(f"m3ic {' '.join(command):<29}" + "".join(f"{column:>8.0f}" for column in columns))


def measured(command: tuple[str, ...], tree: Path = ROOT) -> tuple[float, float]:
    """Seconds on the clock and of processor time of one run in `tree`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "m3i_dsl.cli.main", *command],
        cwd=tree,
        env={**environment, "PYTHONPATH": str(tree)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
