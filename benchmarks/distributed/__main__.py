"""`python -m benchmarks.distributed`: measures and writes the page.

Processes are started here, of one thread each; a GPU for each where there are as many, otherwise all on the processor.
Cases: `supervised`, `mae`, `m3i` (the step beside steps that exchange less, and the bytes that it sends), `scaling`
(one process with the same global batch), `checkpoint` (what steps wait for it), `hosts` (their vote, the watchdog).
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.distributed.checkpoints import stall
from benchmarks.distributed.hosts import agreement
from benchmarks.distributed.launch import Failed, Task, device_for, run
from benchmarks.distributed.page import outcome_of, page
from benchmarks.distributed.steps import Found, scaling, synchronisation
from benchmarks.speed.machine import machine, versions
from benchmarks.speed.outcome import Outcome
from benchmarks.speed.page import Setting
from benchmarks.speed.size import SIZES, Size

CASES: Mapping[str, Callable[[Size, int], Task]] = {
    **{
        name: lambda size, rounds, name=name: Task(synchronisation, (name, size, rounds))
        for name in ("supervised", "mae", "m3i")
    },
    "scaling": lambda size, rounds: Task(scaling, ("m3i", size, rounds)),
    "checkpoint": lambda size, rounds: Task(stall, ("m3i", size, rounds)),
    "hosts": lambda _, rounds: Task(agreement, (rounds,)),
}


def main(arguments: list[str] | None = None) -> int:
    """0: every case was measured. 1: one failed. 2: there is no such case."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _options(given)
    names = [name for name in options.only.split(",") if name] or list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        print(f"error: there is no case {unknown[0]!r}; there are {', '.join(CASES)}", file=sys.stderr)
        return 2
    if options.processes < 2:
        print("error: `--processes` is 2 or more", file=sys.stderr)
        return 2
    size, device = SIZES[options.size], device_for(options.processes)
    setting = Setting(
        date=datetime.date.today().isoformat(),
        machine=machine(),
        versions=versions(),
        command=shlex.join(["python", "-m", "benchmarks.distributed", *given]),
        sizes=f"{size.batch} samples a process, images of {size.size} px, ViT {size.width} wide, {size.depth} deep",
        rounds=options.repeats,
        threads=1,
    )
    kind = "gloo, one thread each" if device.type == "cpu" else "NCCL, one GPU each"
    processes = f"{options.processes} processes ({kind})"
    results: list[Found | Outcome] = []
    failed: dict[str, str] = {}
    started = time.monotonic()
    tasks = [CASES[name](size, options.repeats) for name in names]
    for name, result in zip(names, run(tasks, options.processes), strict=True):
        if isinstance(result, Failed):
            failed[name] = result.why
            shown = f"failed: {result.why}"
        else:
            results.append(result)
            times = outcome_of(result).times
            shown = ", ".join(f"{side} {1e3 * timed.minimum:.1f} ms" for side, timed in times.items())
        print(f"[{time.monotonic() - started:.0f} s] {name}: {shown}", file=sys.stderr, flush=True)
        if options.output is not None:  # anew after each case, so that an interrupted run leaves what it has
            options.output.write_text(page(results, failed, setting, processes), encoding="utf-8")
    if options.output is None:
        print(page(results, failed, setting, processes), end="")
    return 1 if failed else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distributed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds of each case (default: 5)")
    parser.add_argument("--only", default="", metavar="NAME,..", help=f"of {', '.join(CASES)}")
    parser.add_argument("--size", choices=list(SIZES), default="ti112", help="default: ti112, ViT-Ti/16 at 112 pixels")
    parser.add_argument("--output", type=Path, help="the page (default: standard output)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
