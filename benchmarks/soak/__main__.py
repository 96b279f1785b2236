"""`python -m benchmarks.soak [--minutes 30] [--seed 0] [--processes 2]`: see the package."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.soak.comparison import checkpoints, records
from benchmarks.soak.data import Damage, write
from benchmarks.soak.disturbances import Soak
from benchmarks.soak.page import Found, Grown, page
from benchmarks.soak.processes import kill, marked
from benchmarks.soak.run import Failure, Run
from m3i_dsl.cli.main import main as m3ic

RECIPE = Path(__file__).with_name("recipe.m3i")

LEAK = 2048.0
"""Bytes a step by which a rank may grow: a batch that was kept would be ten times as much."""

NOISE = 4 * 2**20
"""Bytes by which it may besides, however long it lives: the allocator keeps some, and libraries come late."""

STEPS_A_SECOND = 200
"""More than any machine does, so that the recipe does not end before its time."""

SAVED_EVERY = 50


def main() -> int:
    """0: equal to the bit, nothing left behind, memory flat. 1: anything else."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="trains under random kills")
    parser.add_argument(
        "--minutes", type=float, default=30, help="of disturbances; the undisturbed run comes after them"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the runs are written and stay (default: a temporary one)")
    parser.add_argument("--output", type=Path, help="write the page to this file")
    arguments = parser.parse_args()
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        return _soaked(arguments, arguments.folder)
    with tempfile.TemporaryDirectory(prefix="m3ic-soak-") as folder:
        return _soaked(arguments, Path(folder))


def _soaked(arguments: argparse.Namespace, folder: Path) -> int:
    steps = max(1000, round(arguments.minutes * 60 * STEPS_A_SECOND))
    write(folder / "data")
    recipe = Path(shutil.copy(RECIPE, folder))
    compiled = m3ic(["compile", str(recipe), "-o", str(folder / "target" / "soak"), "--set", f"steps={steps}"])
    if compiled:
        return compiled
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what it has started ends with it
    disturbed = Run(folder, "disturbed", arguments.processes)
    alone = Run(folder, "alone", arguments.processes)
    soak = Soak(disturbed, random.Random(arguments.seed), SAVED_EVERY, Damage(folder / "data"))
    try:
        soak.until(arguments.minutes * 60)
        last = disturbed.saved()
        seconds = _left_alone(alone, last)
    except Failure as failure:
        for run in (disturbed, alone):
            if run.told.exists():
                print(
                    f"--- the end of {run.told.name}",
                    *run.told.read_text().splitlines()[-40:],
                    sep="\n",
                    file=sys.stderr,
                )
        print(f"error: {failure}", *soak.failures, sep="\n", file=sys.stderr)
        return 1
    finally:
        for run in (disturbed, alone):
            kill(marked(run.mark))
    tensors, unequal = checkpoints(*(run.path / "checkpoints" / f"step-{last:06d}" for run in (disturbed, alone)))
    lines, other = records(disturbed, alone, last)
    memory = {
        rank: Grown(one.peak, one.slope * one.seconds, round(one.seconds / seconds * last), NOISE, LEAK)
        for rank, one in alone.memory.growth().items()
    }
    failures = [*soak.failures, *unequal[:10], *other[:10]]
    failures += [f"memory of rank {rank} grows: {one}" for rank, one in memory.items() if not one.flat]
    found = Found(
        command=f"python -m benchmarks.soak --minutes {arguments.minutes:g} --seed {arguments.seed} "
        f"--processes {arguments.processes}",
        processes=arguments.processes,
        minutes=arguments.minutes,
        last=last,
        kept=SAVED_EVERY,
        tensors=tensors,
        lines=lines,
        costs=soak.costs(),
        memory=memory,
        peaks=disturbed.memory.peaks(),
        failures=failures,
    )
    text = page(found)
    print(text, end="")
    if arguments.output is not None:
        arguments.output.write_text(text, encoding="utf-8")
    return 1 if failures else 0


def _left_alone(run: Run, last: int) -> float:
    """Trains the same steps at once; returns the seconds between the first and the last that was recorded."""
    run.start("--max-steps", str(last), "--workers", "1")
    while run.running:
        run.wait(1.0)
    if (code := run.ended(0)) != 0:
        raise Failure(f"the undisturbed run has ended with {code}")
    times = [line["time"] for line in run.record() if line["event"] == "step"]
    return times[-1] - times[0]


if __name__ == "__main__":
    sys.exit(main())
