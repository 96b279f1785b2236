"""Where and how fast a run goes: everything about it that does not change the trained weights.

Takes: the command line. Gives: `TrainOptions` and, when the run ends, `Outcome`. Guarantees: what changes the weights
is in the recipe and nowhere here (`max_steps` only ends a run early; its schedules are those of the whole).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from m3i_dsl.runtime.compiling import CompileMode
from m3i_dsl.runtime.faults import NO_DEVICE, TrainingFault
from m3i_dsl.runtime.kernels import Kernels
from m3i_dsl.runtime.recomputing import Recompute
from m3i_dsl.runtime.reporting.settings import Reporting
from m3i_dsl.vocabulary.kinds import Score
from m3i_dsl.vocabulary.values import Duration

Callback = tuple[Duration | None, Callable[[int], Mapping[str, Score]]]
"""A measurement and how often it is made; None is at the end of training. It is given the number of completed steps."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """`log_every` None: 10 steps, or as often as a curve needs (`often_enough`). `checkpoint_every` None: at the end of
    an epoch when 20 seconds have passed since the last one, or after 10 minutes.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    accumulate: int = 1
    log_every: int | None = None
    monitor_every: int = 50
    checkpoint_every: Duration | None = None
    keep: int = 2
    max_steps: int | None = None
    compile: CompileMode = "auto"
    recompute: Recompute = "none"
    shard: Literal["none", "fsdp", "hsdp"] = "none"
    timeout: float = 600.0
    kernels: Kernels = field(default_factory=Kernels)
    reporting: Reporting = field(default_factory=Reporting)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    `finished`: all steps and evaluations. `stopped`: by a signal, continued with `--resume`. `partial`: `max_steps`.
    """

    status: Literal["finished", "stopped", "partial"]
    step: int
    run: Path
    exit_code: int = 0
    results: Mapping[str, Score] = field(default_factory=dict[str, Score])


POINTS = 20
"""A curve of fewer logged steps says little."""


def often_enough(steps: int) -> int:
    """How many steps there are between two that are logged: 10, fewer of a run that would give less than POINTS."""
    return next((every for every in (10, 5, 2) if steps >= every * POINTS), 1)


def device_named(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """`auto` is the GPU if there is one. Raises TrainingFault (M3I0711)."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingFault(
            NO_DEVICE,
            "there is no GPU that torch can use",
            notes=(f"torch {torch.__version__} was built for CUDA {torch.version.cuda or 'none'}",),
            helps=("use `--device cpu`, or install a torch built for this machine's driver",),
        )
    return torch.device(name)
