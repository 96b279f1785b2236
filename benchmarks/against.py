"""This tree against an earlier one: `python -m benchmarks.against COMMIT [--only NAME,..] [--rounds N] [--size SIZE]`.

The commit is checked out into a folder of its own beside this one's environment, and both trees take turns: `m3ic
check` of a recipe in new processes (processor time, byte code written), and the training step of each benchmark recipe
in two processes that stay (time on the clock). Prints a row for each with the medians and the median of the rounds'
ratios of this tree to the commit's, which a machine that slows down between rounds moves least; at most 1.00 is asked
where a change is not meant to cost. The recipes are each tree's own
(`benchmarks/speed/recipes`), and a step's first loss is printed for both, so that a change of what is computed is seen.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.startup import measured

ROOT = Path(__file__).parents[1]

RECIPES = (
    "supervised",
    "clip",
    "mae",
    "simmim",
    "moco_v3",
    "byol",
    "barlow_twins",
    "dino",
    "siamese_im",
    "m3i",
    "m3i_text",
)

CHECKED = ("recipes/m3i.m3i", "recipes/mae.m3i")

WORKER = """
import sys, time
import torch
from benchmarks.speed.compiled import CompiledStep, compile_recipe, recipe_text
from benchmarks.speed.size import SIZES
torch.manual_seed(0)
torch.set_num_threads(int(sys.argv[3]))
recipe = compile_recipe(recipe_text(sys.argv[1]), SIZES[sys.argv[2]])
step = CompiledStep(recipe.executable, recipe.batch)
print(float(step()), flush=True)
step()
for line in sys.stdin:
    calls = int(line)
    start = time.perf_counter()
    for _ in range(calls):
        step()
    print((time.perf_counter() - start) / calls, flush=True)
"""
"""What a tree does for one recipe: it tells its first loss, and then the seconds of a step whenever it is asked."""


class Stepping:
    """A tree's training step in a process of its own, which waits while the other tree's runs."""

    def __init__(self, tree: Path, recipe: str, size: str, threads: int) -> None:
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, recipe, size, str(threads)],
            cwd=tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.loss = self._answer()

    def seconds(self, calls: int) -> float:
        """Of one step, the mean of `calls`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of a tree ended with {self._process.wait()} before it answered")
        return float(line)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the earlier tree")
    parser.add_argument("--only", default=",".join(("check", *RECIPES)), metavar="NAME,..", help="check, and recipes")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each tree (default: 15)")
    parser.add_argument("--size", default="ti112", help="size of the models (default: ti112)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    options = parser.parse_args()
    names = options.only.split(",")
    with earlier(options.commit) as before:
        print(f"{'milliseconds':<28}{'before':>10}{'now':>10}{'ratio':>8}   losses before, now", flush=True)
        if "check" in names:
            for recipe in CHECKED:
                _print(f"check {recipe}", _checks(before, recipe, options.rounds), "")
        for recipe in (name for name in names if name != "check"):
            then, now = (Stepping(tree, recipe, options.size, options.threads) for tree in (before, ROOT))
            losses = f"   {then.loss:.6f} {now.loss:.6f}"
            _print(f"step {recipe}", _steps(then, now, options.rounds), losses)
            then.close()
            now.close()


@contextmanager
def earlier(commit: str) -> Generator[Path]:
    """A checkout of `commit` that lasts as long as it is used."""
    with tempfile.TemporaryDirectory(prefix="m3ic-against-") as folder:
        tree = Path(folder, "tree")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree), commit], cwd=ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)


def _checks(before: Path, recipe: str, rounds: int) -> list[tuple[float, float]]:
    """The processor time of one `m3ic check` in each tree, round by round, after one that writes the byte code."""
    turns = [tuple(measured(("check", recipe), tree)[1] for tree in (before, ROOT)) for _ in range(2 * rounds + 1)]
    return [(then, now) for then, now in turns[1:]]


def _steps(then: Stepping, now: Stepping, rounds: int) -> list[tuple[float, float]]:
    """The time of a step in each tree, round by round."""
    calls = max(1, round(0.1 / then.seconds(1)))
    now.seconds(1)
    return [(then.seconds(calls), now.seconds(calls)) for _ in range(rounds)]


def _print(name: str, turns: list[tuple[float, float]], losses: str) -> None:
    before, now = (1e3 * statistics.median(times) for times in zip(*turns, strict=True))
    ratio = statistics.median(second / first for first, second in turns)
    print(f"{name:<28}{before:>10.1f}{now:>10.1f}{ratio:>8.3f}{losses}", flush=True)


if __name__ == "__main__":
    main()
