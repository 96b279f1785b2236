"""The trainer as one of several processes, on the tiny recipe of tests/runtime, with a fault in one of them.

Runs in the processes of `tests.distributed.processes`. `Fault` says what happens on which rank before which step.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.run_folder import RunFolder
from m3i_dsl.vocabulary.kinds import Measure, Score
from m3i_dsl.vocabulary.values import Duration
from tests.runtime.tiny import IDENTITY, Silent, TinyGraph, TinyStream, tiny_graph, trainer

What = Literal["nan", "term", "term while evaluating", "usr1 while waiting", "nothing"]


@dataclass(frozen=True, slots=True)
class Fault:
    what: What = "nothing"
    rank: int = 0
    step: int = -1


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended on one rank, and with which weights."""

    step: int
    exit_code: int
    told: tuple[str, ...]
    """What this rank says of a fault: code and headline."""
    said: tuple[str, ...]
    state: Mapping[str, Tensor]
    results: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass
class Rows(TinyStream):
    """The rows of one rank; `bad` is a step in which the first of them makes infinity."""

    rank: int = 0
    size: int = 1
    bad: int | None = None

    def at(self, step: int) -> dict[str, Tensor]:
        mine = {name: rows.chunk(self.size)[self.rank].clone() for name, rows in super().at(step).items()}
        if step == self.bad:
            mine["view2"][0, 0] = 13
        return mine


def trained(
    path: Path, fault: Fault, *, resume: bool = False, size: int = 1, rank: int | None = None, evaluate: bool = False
) -> Ended:
    """A run of the tiny recipe in float64, from its start or its newest checkpoint."""
    rank = dist.get_rank() if rank is None else rank
    control: Any = dist.group.WORLD if size > 1 else None
    processes = Processes(torch.device("cpu"), rank, size, size, control=control)
    graph = tiny_graph(coupled=False, dropout=0.0, dtype=torch.float64)
    stream = Rows(
        dtype=torch.float64,
        before=lambda step: _before(fault, rank, step),
        rank=rank,
        size=size,
        bad=fault.step if (fault.what, fault.rank) == ("nan", rank) else None,
    )
    display = Silent()

    def measure(done: int) -> dict[str, Score]:
        _struck(fault, rank, done, "term while evaluating")
        return {"steps": Score(float(done), Measure("steps"))}

    folder = _folder(path, resume, rank)
    if processes.control is not None:
        dist.barrier()
    with folder:
        job = trainer(
            folder,
            graph,
            stream,
            display=display,
            processes=processes,
            callbacks=[(Duration(4, "steps"), measure)] if evaluate else [],
        )
        try:
            outcome = job.run(resume=resume)
        except RecipeError as problem:
            told = tuple(f"{found.code}: {found.message}" for found in problem.diagnostics)
            return Ended(-1, 1, told, tuple(display.said), _state(graph))
        except TrainingFault as problem:
            return Ended(-1, 1, (f"{problem.code}: {problem.message}",), tuple(display.said), _state(graph))
    return Ended(
        outcome.step,
        outcome.exit_code,
        (),
        tuple(display.said),
        _state(graph),
        {name: score.value for name, score in outcome.results.items()},
    )


def _folder(path: Path, resume: bool, rank: int) -> RunFolder:
    if rank > 0:
        return RunFolder(path, IDENTITY)
    return RunFolder.open(path) if resume else RunFolder.create(path, IDENTITY)


def _before(fault: Fault, rank: int, step: int) -> None:
    """While the batch of `step` is read, which may take its time."""
    _struck(fault, rank, step, "term")
    if fault == Fault("usr1 while waiting", rank, step):
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        time.sleep(0.5)


def _struck(fault: Fault, rank: int, step: int, what: What) -> None:
    if fault == Fault(what, rank, step):
        signal.raise_signal(signal.SIGTERM)


def _state(graph: TinyGraph) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in graph.module.state_dict().items()}
