"""`python -m benchmarks.fuzz [KIND...] [--count 300] [--minutes M] [--seed 0] [--only N]`: see the package."""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fuzz.bounds import begin, bounded
from benchmarks.fuzz.kept import keep, kept
from benchmarks.fuzz.kinds import KINDS
from benchmarks.fuzz.page import page
from benchmarks.fuzz.process import Ended, once, run


def main(words: Sequence[str] | None = None) -> int:
    """0: no finding. 1: some."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description="changes inputs at random")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--count", type=int, help="cases of each kind (default: 300, or no bound with --minutes)")
    parser.add_argument("--minutes", type=float, help="for each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="N", help="case N alone, in this process, with its traceback")
    parser.add_argument("--output", type=Path, help="write the page to this file")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="keep how each kind ended there; the page then shows what earlier commands kept as well",
    )
    arguments = parser.parse_args(words)
    kinds: list[str] = arguments.kinds or list(KINDS)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        parser.error(f"there is no kind `{unknown[0]}`; there are {', '.join(KINDS)}")
    os.environ["M3IC_CACHE_SIZE"] = "200KB"  # shards that are changed leave an index each
    if arguments.only is not None:
        return _only(kinds, arguments.seed, arguments.only)
    count = arguments.count or (300 if arguments.minutes is None else 10**9)
    found: list[Ended] = []
    for kind in kinds:
        until = time.monotonic() + (math.inf if arguments.minutes is None else 60 * arguments.minutes)
        ended = run(KINDS[kind], arguments.seed, range(count), until)
        found.append(ended)
        if arguments.keep is not None:
            keep(ended, arguments.keep)
        told = ", ".join(f"{number} {way}" for way, number in ended.ways.most_common())
        print(f"{kind}: {ended.count} cases in {ended.seconds:.0f} s: {told}", file=sys.stderr, flush=True)
        for finding in ended.findings:
            print(f"  case {finding.number}: {finding.text}", file=sys.stderr, flush=True)
    shown = found if arguments.keep is None else kept(arguments.keep)
    text = page(shown, _command(words), arguments.seed)
    print(text, end="")
    if arguments.output is not None:
        arguments.output.write_text(text, encoding="utf-8")
    return 1 if any(ended.findings for ended in found) else 0


def _only(kinds: Sequence[str], seed: int, number: int) -> int:
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="m3ic-fuzz-") as folder:
            os.environ["M3IC_CACHE"] = str(Path(folder) / "cache")
            ready = KINDS[kind](Path(folder))
            begin()
            with bounded():
                print(f"{kind}, case {number}: {once(ready, seed, number)}")
    return 0


def _command(words: Sequence[str] | None) -> str:
    """As it was given, without where the page and the outcomes go; those of several commands are of no kind alone."""
    given = list(sys.argv[1:] if words is None else words)
    if "--keep" in given:
        given = [word for word in given if word not in KINDS]
    for option in ("--output", "--keep"):
        if option in given:
            at = given.index(option)
            del given[at : at + 2]
    return " ".join(["python -m benchmarks.fuzz", *given])


if __name__ == "__main__":
    sys.exit(main())
