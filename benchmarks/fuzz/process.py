"""Cases in a process of their own.

Takes: a kind, the seed and the numbers of the cases. Gives: how each has ended, and the findings. Guarantees: a case
that kills its process, or hangs it where no signal is heard, is a finding like any other, and the next case follows.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.fuzz.bounds import TooLarge, TooLong, begin, bounded
from benchmarks.fuzz.kind import Finding, Kind

SILENT = 120.0
"""Seconds without a case that ended, after which its process is taken for hanging. The machine may be busy."""

ENOUGH = 50
"""Findings of a kind after which it is given up."""


@dataclass(frozen=True, slots=True)
class Found:
    """Case `number` of a kind ended as it may not: `text`, in a line, and where."""

    number: int
    text: str


@dataclass(slots=True)
class Ended:
    """Of all cases of a kind: how many ended in which way, the findings, seconds."""

    kind: str
    what: str
    ways: Counter[str] = field(default_factory=Counter[str])
    findings: list[Found] = field(default_factory=list[Found])
    seconds: float = 0.0

    @property
    def count(self) -> int:
        return self.ways.total() + len(self.findings)


def run(kind: type[Kind], seed: int, numbers: Sequence[int], until: float = float("inf")) -> Ended:
    """All cases `numbers`, or those that begin before `until` (seconds as of `time.monotonic`)."""
    ended, begun = Ended(kind.name, kind.what), time.monotonic()
    context = multiprocessing.get_context("fork")
    left = numbers  # a range: those of an hour would fill a list
    while left and len(ended.findings) < ENOUGH and time.monotonic() < until:
        current: Any = context.Value("q", left[0])
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_cases, args=(kind, seed, left, until, current, theirs))
        process.start()
        theirs.close()
        reached, whole = _follow(ours, ended, current)
        if not whole and process.is_alive():
            process.kill()
        process.join()
        if whole:
            break
        code = process.exitcode or 0
        how = "hangs" if code == -signal.SIGKILL else f"its process has died ({_named(code)})"
        ended.findings.append(Found(reached, how))
        left = left[left.index(reached) + 1 :]
    ended.seconds = time.monotonic() - begun
    return ended


def once(kind: Kind, seed: int, number: int) -> str:
    """One case, in this process."""
    return kind.case(random.Random(f"{seed}/{kind.name}/{number}"))


def _named(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _follow(ours: Connection, ended: Ended, current: Any) -> tuple[int, bool]:
    """Counts what is told until the end, or until a case is silent. Returns the last case, and whether all are told."""
    last, since = int(current.value), time.monotonic()
    while True:
        try:
            while ours.poll(1.0):
                told = ours.recv()
                if told is None:
                    return int(current.value), True
                if isinstance(told, Found):
                    ended.findings.append(told)
                else:
                    ended.ways[told] += 1
        except EOFError:
            return int(current.value), False
        if (now := int(current.value)) != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > SILENT:
            return now, False


def _cases(kind: type[Kind], seed: int, numbers: Sequence[int], until: float, current: Any, theirs: Connection) -> None:
    """The process of the cases."""
    with tempfile.TemporaryDirectory(prefix="m3ic-fuzz-", dir=_memory()) as folder:
        os.environ["M3IC_CACHE"] = str(Path(folder) / "cache")
        ready = kind(Path(folder))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries of C print what they think of damaged files
        begin()
        found = 0
        for number in numbers:
            current.value = number
            if time.monotonic() > until or found == ENOUGH:
                break
            try:
                with bounded():
                    told: str | Found = once(ready, seed, number)
            except (Exception, TooLong, TooLarge) as fault:
                told, found = Found(number, _said(fault)), found + 1
            theirs.send(told)
        theirs.send(None)


def _memory() -> str | None:
    """A folder in memory where there is one: cases write small files, which no disk need see."""
    memory = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if os.access(memory, os.W_OK) and os.statvfs(memory).f_bavail * os.statvfs(memory).f_frsize > 1 << 30:
            return str(memory)
    return None


def _said(fault: BaseException) -> str:
    """The fault in a line, and where in the product it came up."""
    text = str(fault).split("\n")[0][:300]
    if isinstance(fault, Finding):
        return text
    frames = traceback.extract_tb(fault.__traceback__)
    product = [frame for frame in frames if "m3i_dsl" in frame.filename] or list(frames)
    place = f"{Path(product[-1].filename).name}:{product[-1].lineno}"
    return f"{type(fault).__name__}: {text} ({place})"
