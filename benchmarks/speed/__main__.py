"""`python -m benchmarks.speed`: measures and writes the page.

With `--peers` the other libraries are installed beside m3ic into benchmarks/.peers (once), and everything is measured
there. Without it, only hand-written code is compared. All sides of a case run in one process, and each case in a fresh
one.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.speed.size import SIZES

if TYPE_CHECKING:
    from benchmarks.speed.cases.case import Context
    from benchmarks.speed.outcome import Outcome

ROOT = Path(__file__).parents[2]


def main(arguments: list[str] | None = None) -> int:
    """0: every case was measured. 1: one failed."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _options(given)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # read when torch is loaded
        os.environ[name] = str(options.threads)
    uninstalled: dict[str, str] = {}
    if options.peers:
        from benchmarks.speed.peers import environment

        if not environment.inside():
            try:
                python, _ = environment.prepare()
            except environment.NoEnvironment as problem:
                uninstalled["environment of the peers"] = str(problem)
                _say(f"no environment for the peers ({problem}); measuring without them")
            else:
                os.execv(python, [str(python), "-m", "benchmarks.speed", *given])
    return _measure(options, given, uninstalled)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--peers", action="store_true", help="also measure other libraries, in an environment of theirs"
    )
    parser.add_argument("--only", default="", metavar="NAME,..", help="these cases (default: all; see --list)")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--repeats", type=int, default=9, metavar="N", help="rounds of each case (default: 9)")
    sizes = [name for name in SIZES if name not in ("base", "large")]
    parser.add_argument(
        "--size", choices=sizes, default="ti112", help="ViT-Ti/16 at 112 or 224 pixels (default: ti112)"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N", help="default: all cores")
    parser.add_argument("--output", type=Path, help="the page (default: standard output)")
    return parser.parse_args(arguments)


def _measure(options: argparse.Namespace, given: list[str], uninstalled: dict[str, str]) -> int:
    from benchmarks.speed.alone import alone
    from benchmarks.speed.cases import CASES
    from benchmarks.speed.cases.case import Context
    from benchmarks.speed.machine import machine, versions
    from benchmarks.speed.page import Setting, page
    from benchmarks.speed.peers import missing

    if options.list:
        print("\n".join(CASES))
        return 0
    names = [name for name in options.only.split(",") if name] or list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        print(f"error: there is no case {unknown[0]!r}; --list names them", file=sys.stderr)
        return 2
    absent = missing() if options.peers else {"other libraries": "run without --peers"}
    absent |= uninstalled
    context = Context(SIZES[options.size], options.repeats, options.peers, options.threads)
    setting = Setting(
        date=datetime.date.today().isoformat(),
        machine=machine(),
        versions=versions(),
        command=shlex.join(["python", "-m", "benchmarks.speed", *given]),
        sizes=_sizes(context),
        rounds=options.repeats,
        threads=options.threads,
    )
    outcomes: list[Outcome] = []
    failed: dict[str, str] = {}
    started = time.monotonic()
    for index, name in enumerate(names, start=1):
        try:
            outcomes.append(alone(name, context))
            shown = _line(outcomes[-1])
        except Exception as problem:  # one case that fails, a peer's code among them, leaves the others
            failed[name] = f"{type(problem).__name__}: {problem}".splitlines()[0]
            shown = f"failed: {failed[name]}"
        _say(f"[{index}/{len(names)}, {(time.monotonic() - started) / 60:.1f} min] {name}: {shown}")
        if options.output is not None:  # anew after each case, so that an interrupted run leaves what it has
            options.output.write_text(page(outcomes, failed, absent, setting), encoding="utf-8")
    if options.output is None:
        print(page(outcomes, failed, absent, setting), end="")
    return 1 if failed else 0


def _line(outcome: Outcome) -> str:
    return ", ".join(f"{side} {1e3 * timed.minimum:.1f} ms" for side, timed in outcome.times.items())


def _sizes(context: Context) -> str:
    size = context.size
    return (
        f"batch {size.batch}, images of {size.size} px, patches of {size.patch} px, ViT {size.width} wide, "
        f"{size.depth} deep, {size.heads} heads; MAE's decoder {size.decoder_width} x {size.decoder_layers}; "
        f"projectors {size.hidden} wide; text transformer {size.text_width} x {size.text_layers}, {size.context} tokens"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
