"""What is asked of a training: where, how fast and from what, and nothing that changes the weights.

Takes: nothing. Gives: `TrainRequest`, which the flags of `m3ic train` and the arguments of `Compiled.train` become.
Guarantees: no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.values import Duration

if TYPE_CHECKING:
    from m3i_dsl.diagnostics import Diagnostic

Device = Literal["auto", "cpu", "cuda"]

RUNS = Path("runs")
"""Where runs are, unless a path says otherwise."""

MAX_BROKEN = 0.01
"""The share of the samples that may be broken before a training ends."""


def show_nothing(diagnostics: Iterable[Diagnostic]) -> None:
    """Leaves the diagnostics of an artifact to who compiled it."""


def in_python(run: Path) -> str:
    """How a training that Python started is continued."""
    return f"`.train({str(run)!r}, resume=True)`"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """The flags of `m3ic train`, which say what each means; a default is that of the flag.

    `show` is given what the compiler said of the artifact, before training starts. `again` says how a run is
    continued, for the last word.
    """

    artifact: Path | None = None
    run: Path | None = None
    resume: bool = False
    requeue: bool = False
    until: str | None = None
    take_from: Path | None = None
    allow_stale: bool = False
    max_steps: int | None = None
    log_every: int | None = None
    log_to: tuple[str, ...] | None = None
    checkpoint_every: Duration | None = None
    keep: int = 2
    workers: int = 0
    max_broken: float = MAX_BROKEN
    log_samples: Path | None = None
    device: Device = "auto"
    threads: int | None = None
    accumulate: int = 1
    recompute: Literal["none", "blocks"] = "none"
    compile: Literal["on", "off", "auto"] = "auto"
    shard: Literal["none", "fsdp", "hsdp"] = "none"
    deterministic: bool = False
    tf32: bool = False
    channels_last: Literal["auto", "on", "off"] = "auto"
    cudnn_benchmark: bool | None = None
    allocator: Literal["expandable", "torch"] = "expandable"
    timeout: float = 600.0
    show: Callable[[Iterable[Diagnostic]], None] = show_nothing
    again: Callable[[Path], str] = in_python
