"""`m3ic index 's3://bucket/{00000..41407}.tar' -o sizes.json`: counts the samples of tar shards.

Training from more than a few remote shards needs their sizes (docs/data.md). A shard is read once, as a stream, by
`--jobs` at a time; where img2dataset left `00000_stats.json` beside it, only that. With `-o`, sizes that the file has
already are kept, and it is written as they are found: what was interrupted goes on where it stopped. Without it they
are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import CliError, add_command
from m3i_dsl.cli.replace import replace_text

if TYPE_CHECKING:
    from rich.progress import Progress

    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.data.readers.places import StoragePlace

SAVED_SECONDS = 10.0
"""Between two writings of the file."""


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "index", "count the samples of tar shards", __doc__ or "")
    parser.add_argument(
        "shards", metavar="SHARDS", help="paths or URLs, as in a recipe: `{00000..41407}`, `{a,b}`, `*`"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the file of sizes (default: standard output)"
    )
    parser.add_argument("--jobs", type=int, default=16, metavar="N", help="shards read at a time (default: 16)")


def run(arguments: argparse.Namespace) -> int:
    """0: all were counted. 1: some could not be; they are named."""
    if arguments.jobs < 1:
        raise CliError(f"--jobs is a number of at least 1, not {arguments.jobs}")
    shards = _shards(arguments.shards)
    sizes = _written(arguments.output)
    left = [place for place in shards if place.name not in sizes]
    if len(left) < len(shards):
        print(f"{len(shards) - len(left)} of {len(shards)} shards are in `{arguments.output}`", file=sys.stderr)
    failed = 0
    saved = time.monotonic()
    try:
        for place, found in _counted(left, arguments.jobs):
            if isinstance(found, int):
                sizes[place.name] = found
            else:
                failed += 1
                print(f"error: shard `{place.url}`: {found}", file=sys.stderr)
            if arguments.output is not None and time.monotonic() - saved > SAVED_SECONDS:
                replace_text(arguments.output, _text(sizes))
                saved = time.monotonic()
    finally:
        if arguments.output is not None:
            replace_text(arguments.output, _text(sizes))
    if arguments.output is None:
        print(_text(sizes), end="")
    else:
        print(arguments.output)
    counted = [sizes[place.name] for place in shards if place.name in sizes]
    print(f"{sum(counted):,} samples in {len(counted):,} shards", file=sys.stderr)
    return 1 if failed else 0


def _shards(pattern: str) -> list[StoragePlace]:
    from m3i_dsl.data.readers.places import places
    from m3i_dsl.vocabulary.kinds import WordError

    try:
        shards = places(pattern, Path(), "path", ".tar")
    except WordError as fault:
        raise CliError(str(fault)) from fault  # its help speaks of recipes
    twice = [name for name, count in Counter(place.name for place in shards).items() if count > 1]
    if twice:
        raise CliError(
            f"several shards are called `{twice[0]}`, and the file has one size a name; index a folder at a time"
        )
    return shards


def _written(path: Path | None) -> dict[str, int]:
    """The sizes that are known."""
    if path is None:
        return {}
    if not path.parent.is_dir():  # said before anything is counted, which may take hours
        raise CliError(f"there is no folder `{path.parent}` for `{path.name}`")
    if not path.exists():
        return {}
    try:
        sizes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise CliError(f"`{path}` is there but cannot be read as sizes: {fault}") from fault
    if not isinstance(sizes, dict) or not all(isinstance(size, int) for size in sizes.values()):
        raise CliError(f"`{path}` is there but is no JSON object of shard names and numbers")
    return sizes


def _counted(shards: Sequence[StoragePlace], jobs: int) -> Iterator[tuple[StoragePlace, int | Exception]]:
    """Each shard with its size, or with why it cannot be counted, as they are found."""
    from m3i_dsl.data.readers.shard_sizes import size_of_shard
    from m3i_dsl.data.readers.tar_members import DamagedShard

    waiting = iter(shards)
    running: dict[Future[int], StoragePlace] = {}
    stopped = threading.Event()
    with ThreadPoolExecutor(jobs) as threads, _progress() as progress:
        bar = progress.add_task("counting", total=len(shards))
        try:
            while True:
                # No more at a time than are read, so that an interruption waits for those only.
                while len(running) < jobs and (place := next(waiting, None)) is not None:
                    running[threads.submit(size_of_shard, place, stopped.is_set)] = place
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    place = running.pop(done)
                    progress.advance(bar)
                    try:
                        yield place, done.result()
                    except (DamagedShard, OSError) as fault:
                        yield place, fault
        finally:
            stopped.set()


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _text(sizes: dict[str, int]) -> str:
    return json.dumps(dict(sorted(sizes.items())), indent=1) + "\n"
