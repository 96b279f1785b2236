"""Measures, prints, and writes the page if asked to."""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import benchmarks.loader
from benchmarks.loader.cases import CASES, Case, Job, prepared
from benchmarks.loader.clock import Measured, measured
from benchmarks.loader.limit import decoding_and_crops
from benchmarks.loader.loaders import OTHERS, ours
from benchmarks.speed.machine import machine, versions

LIMIT, OURS = "the limit", "m3ic"
AIM = 0.9

Candidates = dict[str, Callable[[Job], Iterator[int]]]


def candidates(case: Case) -> Candidates:
    """What can load a case. Folders and shards are of pictures with more than a few pixels; timm makes one view."""
    found: Candidates = {LIMIT: decoding_and_crops, OURS: ours}
    for name, loader in OTHERS.items():
        library = name.split(",")[0]
        fits = case.side is not None and (library != "timm" or len(case.views) == 1)
        if fits and importlib.util.find_spec(library) is not None:
            found[name] = loader
    return found


def rounds(case: Case, job: Job, count: int) -> dict[str, list[Measured]]:
    """All candidates in turns, `count` times."""
    found: dict[str, list[Measured]] = {name: [] for name in candidates(case)}
    for _ in range(count):
        for name, loader in candidates(case).items():
            found[name].append(measured(loader, job))
    return found


def rendered(case: Case, found: dict[str, list[Measured]]) -> str:
    """The rows of a case."""
    lines: list[str] = []
    limit = found[LIMIT]
    for name, runs in found.items():
        # Of the same round: what else the machine did then slowed both.
        share = statistics.median(run.rate / base.rate for run, base in zip(runs, limit, strict=True))
        best, least = max(run.rate for run in runs), min(run.processor for run in runs)
        of_least = min(run.processor for run in limit) / least
        lines.append(f"| {case.name} | {name} | {best:.0f} | {share:.0%} | {least:.3f} | {of_least:.0%} |")
    return "\n".join(lines)


HEAD = """| case | loader | images/s, best | of the limit | processor ms/image, least | of the limit |
|---|---|---:|---:|---:|---:|"""


def page(table: str, arguments: argparse.Namespace, missing: list[str]) -> str:
    """RESULTS_LOADER.md."""
    load = os.getloadavg()[2]
    busy = f" Other programs were running (load {load:.1f}); compare shares and processor times." if load > 3 else ""
    without = f" Not installed here: {', '.join(missing)}." if missing else ""
    return f"""# How near loading comes to its limit

Written by `python -m benchmarks.loader SHARDS CIFAR --output benchmarks/RESULTS_LOADER.md`.

{arguments.workers} processes decode, cut and mirror, and deliver uint8 batches of 128 to the training process; nothing
is kept decoded. The limit is as many processes that hold the bytes in memory, decode them with simplejpeg, cut the same
views with torchvision's kernel and drop them; boxes are drawn before the clock starts. {arguments.rounds} runs of
{arguments.images} images each, in turns. Shares of rates are the median over the rounds; shares of processor time, of
all processes together, are of the least: what is reached where cores limit both. The aim is {AIM:.0%}. In the time of
m3ic are its order, its draws, reading from shards, and the process that takes the batches. CIFAR travels whole and is
cut on the device, so that m3ic does less there than the limit.

{table}

{machine()}; {versions()}.{busy}{without}
"""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=benchmarks.loader.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", type=Path, help="a folder of tar files with .jpg and .cls members")
    parser.add_argument("cifar", type=Path, help="CIFAR-10 as one Parquet file with columns `image` and `label`")
    parser.add_argument("--workers", type=int, default=2, help="processes that decode (default: 2)")
    parser.add_argument("--images", type=int, default=2048, help="in each run (default: 2048)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (default: 5)")
    parser.add_argument("--case", type=int, action="append", help="the number of a case, from 1 (default: all)")
    parser.add_argument("--output", type=Path, help="the page to write")
    arguments = parser.parse_args()
    table = [HEAD]
    with tempfile.TemporaryDirectory() as folder:
        sides = {case.side for case in CASES if case.side is not None}
        made = {side: prepared(arguments.shards, Path(folder), side) for side in sides}
        for number, case in enumerate(CASES, 1):
            if arguments.case and number not in arguments.case:
                continue
            tars, files = made.get(case.side or min(sides), (Path(folder), Path(folder)))
            job = Job(case, tars, files, arguments.cifar.resolve(), arguments.workers, arguments.images)
            table.append(rendered(case, rounds(case, job, arguments.rounds)))
            print(table[-1], flush=True)
    missing = [name.split(",")[0] for name in OTHERS if importlib.util.find_spec(name.split(",")[0]) is None]
    for library in missing:
        print(f"{library} is not installed", file=sys.stderr)
    if arguments.output is not None:
        arguments.output.write_text(page("\n".join(table), arguments, missing), encoding="utf-8")


if __name__ == "__main__":
    main()
