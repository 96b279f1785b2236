"""All checks and measurements in order of value, within a number of minutes.

Takes: seconds. Gives: one line of JSON for each piece, as soon as it is done: its name, whether it passed, what it
found. Guarantees: each piece is a process of its own with a limit of its own, so that one that hangs or dies costs no
other; none begins that cannot end in time; any prefix of the output is worth having.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.gpu.checks import CHECKS, Found
from benchmarks.gpu.costs import COSTS

PIECE = "--piece"


@dataclass(frozen=True, slots=True)
class Piece:
    """`command` is what `python -m benchmarks.gpu` is given; `limit` seconds, after which it is ended."""

    name: str
    limit: float
    command: tuple[str, ...]


def _check(name: str, limit: float) -> Piece:
    return Piece(name, limit, (PIECE, name))


def _throughput(cases: str, limit: float, *more: str) -> Piece:
    label = "compiled" if "--compile" in more else "eager"
    return Piece(f"throughput {cases}, {label}", limit, ("--model", "base", "--only", cases, "--steps", "10", *more))


SESSION = (
    _check("machine", 30),
    _check("training", 90),
    _throughput("m3i,mae", 90),
    _throughput("m3i,mae", 120, "--compile"),
    _check("non_finite", 60),
    _check("no_sync", 60),
    _check("saving", 60),
    _check("one_process_of_nccl", 50),
    _check("compiling", 120),
    _check("profile", 60),
    _throughput("moco_v3", 60),
    _check("convolutions", 60),
    Piece("throughput large moco_v3", 90, ("--model", "large", "--only", "moco_v3", "--steps", "10")),
)
"""What is wrong is found first, then what most people train."""

Start = Callable[[Sequence[str], float], Found]
"""Runs a command within seconds. Raises TimeoutError and AssertionError."""


def run_session(seconds: float, start: Start, *, pieces: Sequence[Piece] = SESSION) -> Iterator[str]:
    """The lines of a session of `seconds`."""
    begun = time.monotonic()
    for piece in pieces:
        left = seconds - (time.monotonic() - begun)
        if left < min(piece.limit, 20):
            yield _line(piece, "left out", 0, {"left": round(left)})
            continue
        piece_begun = time.monotonic()
        limit = min(piece.limit, left)
        try:
            outcome, found = "passed", start(piece.command, limit)
        except TimeoutError:
            outcome, found = "too long", {"limit": round(limit)}
        except AssertionError as problem:
            outcome, found = "failed", {"problem": str(problem)}
        yield _line(piece, outcome, time.monotonic() - piece_begun, found)


def _line(piece: Piece, outcome: str, seconds: float, found: Found) -> str:
    return json.dumps({"piece": piece.name, "outcome": outcome, "seconds": round(seconds, 1), "found": found})


def in_a_process(command: Sequence[str], limit: float) -> Found:
    """As `Start`: another Python, whose last line of output is JSON, or a table."""
    words = [sys.executable, "-m", "benchmarks.gpu", *command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as late:
        raise TimeoutError from late
    if done.returncode:
        told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise AssertionError(" / ".join(told[-3:]) or f"exit code {done.returncode}")
    lines = done.stdout.splitlines()
    if PIECE in command:
        return json.loads(lines[-1])
    return {"table": [line for line in lines if line.strip()]}


def piece_named(name: str, device: str) -> Found:
    """What one check or measurement finds. Raises what it raises, and KeyError for a name that is none."""
    return {call.__name__: call for call in (*CHECKS, *COSTS)}[name](device)
