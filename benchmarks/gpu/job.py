"""A recipe of this repository, small, as a training on a device.

Takes: the name of a recipe, a device, settings. Gives: a `Job`, whose trainer is the runner's own. Guarantees: weights
and batches are functions of the recipe's seed, so that jobs of two devices start equal; nothing is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from benchmarks.speed.compiled import sized
from m3i_dsl.data.stream import Stream
from m3i_dsl.driver import compile_program
from m3i_dsl.lower.executable import Executable
from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.interfaces import Batch, BatchStream, Plan, Progress
from m3i_dsl.runtime.loop import Trainer
from m3i_dsl.runtime.options import TrainOptions
from m3i_dsl.runtime.reporting.settings import Reporting
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity
from m3i_dsl.source import SourceFile
from m3i_dsl.vocabulary.kinds import Score

RECIPES = Path(__file__).parents[2] / "recipes"

SMALL = {"patch": "8px", "width": "96", "depth": "4", "heads": "3"}
IDENTITY = RunIdentity("gpu", "0" * 64, {})


class Watching(Protocol):
    """May change a batch, or do something, before the step with it."""

    def __call__(self, step: int, batch: Batch) -> Batch: ...


@dataclass(frozen=True, slots=True)
class Job:
    """`executable` comes to its device when it is trained."""

    executable: Executable
    stream: BatchStream
    device: torch.device

    def train(self, folder: Path, *, resume: bool = False, **options: Any) -> list[float]:
        """The losses of the logged steps; `options` are those of `TrainOptions`. Raises what training raises."""
        identity = replace(IDENTITY, recipe=self.executable.program.name)
        run = RunFolder.open(folder) if resume else RunFolder.create(folder, identity)
        with run:
            shown = _Losses()
            chosen = TrainOptions(device=self.device, reporting=Reporting(sinks=()), **{"log_every": 1} | options)
            Trainer(self.executable, self.stream, run, chosen, display=shown).run(resume=resume)
        return shown.values


def job(
    name: str,
    device: str,
    *,
    precision: Literal["fp32", "bf16"] = "fp32",
    batch: int = 64,
    text: str | None = None,
    workers: int = 0,
    watch: Watching | None = None,
) -> Job:
    """The recipe `name`, or `text` in its place, with the sizes of `SMALL` where it has them."""
    path = RECIPES / f"{name}.m3i"
    file = SourceFile(str(path), path.read_text(encoding="utf-8") if text is None else text)
    compiled = compile_program(sized(file, SMALL, batch=batch, precision=precision), RECIPES)
    executable = compiled.executable
    where = torch.device(device)
    stream = Stream(compiled.program, executable.inputs, base=RECIPES, device=where, workers=workers)
    return Job(executable, stream if watch is None else _Watched(stream, watch), where)


@dataclass(frozen=True, slots=True)
class _Watched:
    stream: Stream
    watch: Watching

    @property
    def steps_per_epoch(self) -> int:
        return self.stream.steps_per_epoch

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        for step, batch in enumerate(self.stream.batches(start, stop), start):
            yield self.watch(step, batch)


class _Losses:
    """A display that keeps the losses, and shows nothing."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def start(self, plan: Plan) -> None: ...

    def update(self, progress: Progress) -> None:
        self.values.append(progress.loss)

    def evaluated(self, step: int, results: Mapping[str, Score]) -> None: ...

    def say(self, text: str) -> None: ...

    def warn(self, notice: Notice) -> None: ...

    def close(self) -> None: ...


def state(executable: Executable) -> dict[str, Tensor]:
    """A copy of all weights, averages and buffers, on the host."""
    return {name: tensor.detach().cpu().clone() for name, tensor in executable.module.state_dict().items()}


def differing(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    """The names of tensors that are not equal to the bit."""
    return [name for name, tensor in first.items() if not torch.equal(tensor, second[name])]
