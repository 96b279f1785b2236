"""A collective that failed, because another process is gone.

Takes: what torch raised. Gives: M3I0732 in its place. Guarantees: other errors pass as they are, for they are faults of
a program and not of a machine.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator

import torch.distributed as dist

from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.faults import HUNG, TrainingFault

_SIGNS = ("gloo", "connection closed", "connection reset", "broken pipe", "timed out", "nccl", "socket")
"""What torch's errors say, in lower case, when another process does not answer."""

_CLOSED = ("connection closed", "connection reset", "broken pipe", "socketpollerror")
"""Those that the kernel of the machine of the other process has sent: the process has ended, however that was."""


@contextlib.contextmanager
def connected(processes: Processes, where: Callable[[], str]) -> Generator[None]:
    """What is done in here meets the other processes; `where` says what it was when one of them was missing.

    Raises TrainingFault (M3I0732).
    """
    try:
        yield
    except RuntimeError as problem:
        if processes.size == 1 or not _is_lost(problem):
            raise
        raise TrainingFault(
            HUNG,
            f"rank {processes.rank} has lost another process while {where()}",
            notes=(how(problem),),
            helps=("look for the rank that ended first: its message, or the kernel log of its machine",),
        ) from problem


def how(problem: Exception) -> str:
    """What has failed: of a connection that was closed in words of ours, of anything else in its own."""
    text = str(problem).lower()
    if isinstance(problem, RuntimeError) and any(sign in text for sign in _CLOSED):
        return "the other process closed its connection, so it has ended or was killed"
    return _first_sentence(problem)


def _first_sentence(problem: Exception) -> str:
    """Without the place in torch's own source that gloo puts in front."""
    return re.sub(r"^\[[^\]]*\]\s*", "", str(problem).split("\n")[0]).split(". ")[0]


def _is_lost(problem: RuntimeError) -> bool:
    return isinstance(problem, dist.DistError) or any(sign in str(problem).lower() for sign in _SIGNS)
