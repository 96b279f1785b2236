"""Processes of one soak, found by a mark in their environment.

Takes: a mark, which every process inherits from the one that was started with it. Gives: which of them are alive, and
what they are. Guarantees: one that has lost its parent, or was started while we looked, is found all the same; no
process without the mark is ever touched. Linux only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

MARK = "M3IC_SOAK"


@dataclass(frozen=True, slots=True)
class Process:
    """`rss` is its resident memory in bytes; of what it shares with others, too."""

    number: int
    parent: int
    rss: int
    rank: str | None
    """`RANK` of torchrun, which data workers inherit."""


def marked(mark: str) -> list[Process]:
    """Those that are alive; zombies are not."""
    found: list[Process] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                environment = (folder / "environ").read_bytes().split(b"\0")
                if f"{MARK}={mark}".encode() not in environment:
                    continue
                # The name of the program, in parentheses, may hold anything: fields are counted from behind it.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if fields[0] == "Z":
                    continue
                ranks = [one.partition(b"=")[2].decode() for one in environment if one.startswith(b"RANK=")]
                pages = int((folder / "statm").read_text().split()[1])
                found.append(
                    Process(
                        int(folder.name),
                        int(fields[1]),
                        pages * os.sysconf("SC_PAGE_SIZE"),
                        ranks[0] if ranks else None,
                    )
                )
    return sorted(found, key=lambda process: process.number)


def ranks(mark: str) -> list[Process]:
    """Those that compute: of each rank, the process whose parent is not of the same rank."""
    found = {process.number: process for process in marked(mark) if process.rank is not None}
    return [one for one in found.values() if one.parent not in found]


def workers(mark: str) -> list[Process]:
    """Those that decode for a rank."""
    found = {process.number: process for process in marked(mark) if process.rank is not None}
    return [one for one in found.values() if one.parent in found]


def until_gone(mark: str, seconds: float) -> list[Process]:
    """Waits until no process has the mark; returns those that do after `seconds`."""
    deadline = time.monotonic() + seconds
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def kill(processes: list[Process]) -> None:
    """SIGKILL to all of them."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.number, signal.SIGKILL)
