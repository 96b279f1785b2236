"""Trains every recipe for a short while and writes a table of what its encoder learned.

    python benchmarks/recipes.py --output docs/results.md --source 'parquet("cifar10/train.parquet",
        test: "cifar10/test.parquet", category: "label", prompt: "a photo of a {}")'

Takes: a source with images, categories and texts, and sizes. Gives: a Markdown page, written anew after each row.
Guarantees: finished rows are kept in the run folder and an interrupted one goes on from its last checkpoint, so the
same command can be given again at any time.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os
import platform
import shlex
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.row import Job
    from m3i_dsl.semantics.program import Program

ROOT = Path(__file__).resolve().parent.parent
NOTES = Path("benchmarks/recipes_notes.toml")
AUGMENT = "crop(size, scale: 20%..100%) | flip | jitter(p: 80%) | grayscale"
PIXELS = "raw pixels"


def main() -> int:
    """0: every row has a result. 1: one failed. 130: interrupted."""
    arguments = _arguments()
    # Before anything numerical is imported, here and in the workers: its libraries read it when they are loaded.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    sys.path.insert(0, str(ROOT))
    from m3i_dsl.diagnostics import RecipeError, render

    try:
        jobs = _jobs(arguments)
        return _fill(arguments, jobs)
    except RecipeError as fault:
        print(render(fault.diagnostics, "full", False), file=sys.stderr, end="")
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipes", nargs="*", type=Path, metavar="RECIPE", help="default: all of recipes/")
    parser.add_argument("--source", required=True, help="as in a recipe; its paths start at the current folder")
    parser.add_argument("--limit", type=int, default=3000, help="samples of each split (0: all; default: 3000)")
    parser.add_argument("--epochs", type=int, default=12, help="default: 12")
    parser.add_argument("--size", default="32px", help="side of the views (default: 32px)")
    parser.add_argument("--patch", default="8px", help="default: 8px")
    parser.add_argument("--width", type=int, default=96, help="default: 96")
    parser.add_argument("--depth", type=int, default=4, help="default: 4")
    parser.add_argument("--heads", type=int, default=3, help="default: 3")
    parser.add_argument("--lr", default="2e-3 per 256", help="default: 2e-3 per 256")
    parser.add_argument("--augment", default=AUGMENT, help=f"default: {AUGMENT}".replace("%", "%%"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads of each row (default: 1)")
    parser.add_argument("--workers", type=int, default=0, help="processes of each row that decode images (default: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time (default: 2)")
    parser.add_argument("--run", type=Path, default=Path("runs/recipes"), help="default: runs/recipes")
    parser.add_argument("--output", type=Path, help="the page (default: standard output, at the end)")
    return parser.parse_args()


def _jobs(arguments: argparse.Namespace) -> list[Job]:
    """One for each recipe, the rows of the paper's table first. Raises RecipeError."""
    from benchmarks.row import Job

    found = arguments.recipes or [*sorted(Path("recipes/table").glob("*.m3i")), *sorted(Path("recipes").glob("*.m3i"))]
    jobs: list[Job] = []
    for path in found:
        if "\nrecipe " not in path.read_text(encoding="utf-8"):  # a part that others use
            continue
        program = _checked(arguments, path)
        settings = {name: str(getattr(arguments, name)) for name in SETTINGS if name in program.parameters}
        settings["source"] = _source_from(arguments, program, path)
        jobs.append(Job(path, settings, arguments.run, arguments.device, arguments.threads, arguments.workers))
    return jobs


SETTINGS = ("size", "patch", "width", "depth", "heads", "epochs", "lr", "augment")
"""Parameters of the recipes, each given to those that have it (an encoder of its own has no `width`)."""


def _checked(arguments: argparse.Namespace, recipe: Path) -> Program:
    from m3i_dsl.driver import check_file
    from m3i_dsl.source import read_file
    from m3i_dsl.syntax import parse_value

    return check_file(read_file(recipe), {"source": parse_value(arguments.source, "<--source>")}).required()


def _source_from(arguments: argparse.Namespace, program: Program, recipe: Path) -> str:
    """The source with its limit, and its paths as the recipe must write them."""
    word: Any = next(iter(program.data.values())).source.word  # a dataclass, as all words are
    here: dict[str, Any] = {}
    for field in dataclasses.fields(word):
        value = getattr(word, field.name)
        if field.name in ("path", "test") and isinstance(value, str):
            here[field.name] = os.path.relpath(value, recipe.parent)
        if field.name == "limit" and arguments.limit:
            here[field.name] = arguments.limit
    return str(dataclasses.replace(word, **here).text())


def _fill(arguments: argparse.Namespace, jobs: Sequence[Job]) -> int:
    """Computes what is missing, and writes the page after each row."""
    from benchmarks.row import measure_pixels, measure_recipe

    results: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    started = time.monotonic()
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        futures: dict[Future[dict[str, Any]], str] = {pool.submit(measure_recipe, job): job.name for job in jobs}
        futures[pool.submit(measure_pixels, jobs[0])] = PIXELS
        try:
            for done in as_completed(futures):
                name = futures[done]
                try:
                    results[name] = done.result()
                except Exception as fault:
                    failed[name] = f"{type(fault).__name__}: {fault}".splitlines()[0]
                elapsed = time.monotonic() - started
                finished = len(results) + len(failed)
                left = elapsed / finished * (len(futures) - finished)
                print(
                    f"[{finished}/{len(futures)}] {_line(name, results, failed)}"
                    f"  ({elapsed / 60:.0f} min, about {left / 60:.0f} min left)",
                    file=sys.stderr,
                    flush=True,
                )
                _write(arguments, jobs, results, failed)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    if arguments.output is None:
        print(_page(arguments, jobs, results, failed), end="")
    return 1 if failed else 0


def _line(name: str, results: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str]) -> str:
    if name in failed:
        return f"{name}: failed: {failed[name]}"
    if name == PIXELS:
        return name
    from benchmarks.page import number

    measured = results[name]["measured"]
    shown = [
        f"{label} {number(found['trained'])} (untrained {number(found['untrained'])})"
        for label, found in (("kNN", measured["knn"]), ("linear", measured["linear"]))
    ]
    return f"{name}: {', '.join(shown)}"


def _write(
    arguments: argparse.Namespace,
    jobs: Sequence[Job],
    results: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, str],
) -> None:
    if arguments.output is not None:
        temporary = arguments.output.with_suffix(".tmp")
        temporary.write_text(_page(arguments, jobs, results, failed), encoding="utf-8")
        os.replace(temporary, arguments.output)


def _page(
    arguments: argparse.Namespace,
    jobs: Sequence[Job],
    results: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, str],
) -> str:
    from benchmarks.page import Setting, page
    from m3i_dsl.artifact.fingerprint import current_versions

    notes: dict[str, str] = tomllib.loads((ROOT / NOTES).read_text(encoding="utf-8"))
    versions = {"Python": platform.python_version(), **current_versions()}
    common = {name: str(getattr(arguments, name)) for name in SETTINGS}
    setting = Setting(
        date=datetime.date.today().isoformat(),
        machine=_machine(arguments.device),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        command=f"python benchmarks/recipes.py {shlex.join(sys.argv[1:])}",
        settings={**common, "samples of each split": str(arguments.limit or "all")},
    )
    rows = [results[job.name] for job in jobs if job.name in results]
    pixels = results.get(PIXELS, {}).get("measured")
    return page(rows, pixels, failed, notes, setting)


def _machine(device: str) -> str:
    """The processor and the number of cores, or the GPU."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


if __name__ == "__main__":
    sys.exit(main())
