"""What training needs of its parts, as protocols.

Takes: nothing. Gives: the shapes of the compiled graph, of the stream of batches and of the display. Guarantees: the
trainer can be run on a hand-made module and a list of batches as well as on a compiled recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.reporting.resources import Memory
from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.kinds import Score
from m3i_dsl.vocabulary.values import Duration, Ramp

Batch = Mapping[str, Tensor]
"""The inputs of a step by placeholder name; every tensor has the batch as its first dimension."""


class AveragedPair(Protocol):
    """An encoder and its exponential moving average."""

    @property
    def source(self) -> nn.Module: ...

    @property
    def average(self) -> nn.Module: ...

    @property
    def momentum(self) -> Ramp: ...

    @property
    def over(self) -> Duration | None: ...


class TrainingGraph(Protocol):
    """A compiled recipe.

    `module(**batch)` returns a mapping with `"loss"` (scalar to differentiate), `"losses"` (one unweighted scalar for
    each `"objective.target"`), `"representations"` (detached, for the monitors) and, where targets are weighted,
    `"weights"`.
    """

    @property
    def program(self) -> Program: ...

    @property
    def module(self) -> nn.Module: ...

    @property
    def averages(self) -> Sequence[AveragedPair]: ...

    @property
    def provenance(self) -> Mapping[str, str]:
        """The recipe line of each node of the graph, by node name."""
        ...


class BatchStream(Protocol):
    """Batches as a function of the step: the same step always gives the same batch, on the training device."""

    @property
    def steps_per_epoch(self) -> int: ...

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps `start` .. `stop - 1`, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is going to do, for the display: steps `first` to `last`, which is `total` without `max_steps`."""

    recipe: str
    first: int
    total: int
    last: int
    steps_per_epoch: int
    batch: int
    targets: tuple[str, ...]
    world: int = 1
    device: str = "CPU"
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known after `step` completed steps, of all ranks together.

    Rates are over the time since the last one; shares are in [0, 1]. Data wait and memory are those of the rank that
    has most; `utilization` is None where the peak of the device is not known. `checkpoint_stall`: for which share of
    all time since training began steps have waited for checkpoints.
    """

    step: int
    loss: float
    losses: Mapping[str, float]
    learning_rate: float
    images_per_second: float
    data_wait: float
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    monitors: Mapping[str, float] = field(default_factory=dict[str, float])
    utilization: float | None = None
    memory: Memory | None = None
    checkpoint_stall: float = 0.0


class Display(Protocol):
    """Where progress is shown: a terminal, plain lines, or nowhere."""

    def start(self, plan: Plan) -> None: ...

    def update(self, progress: Progress) -> None: ...

    def evaluated(self, step: int, results: Mapping[str, Score]) -> None: ...

    def say(self, text: str) -> None:
        """A remark on a line of its own."""
        ...

    def warn(self, notice: Notice) -> None: ...

    def close(self) -> None: ...
