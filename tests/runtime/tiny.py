"""A hand-made recipe for the trainer: two targets, an averaged encoder, batch norm, dropout and a queue-like buffer.

Everything that training carries from step to step is in it, and nothing else.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.interfaces import Batch, Plan, Progress
from m3i_dsl.runtime.loop import Trainer
from m3i_dsl.runtime.options import TrainOptions
from m3i_dsl.runtime.reporting.settings import Reporting
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity
from m3i_dsl.semantics.program import Placed, Program
from m3i_dsl.semantics.training import Training
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.vocabulary.kinds import Optimizer, Schedule, Score
from m3i_dsl.vocabulary.optimizers import AdamW
from m3i_dsl.vocabulary.schedules import Cosine
from m3i_dsl.vocabulary.values import Clip, Duration, Ramp, Rate

BATCH = 8
STEPS_PER_EPOCH = 5
IDENTITY = RunIdentity("tiny", "f" * 64, {"torch": torch.__version__})

RECIPE = SourceFile("tiny.m3i", "objective m3i {\n  target intra {}\n  target inter {}\n}\ntrain { batch 8 }\n")


class Encoder(nn.Module):
    def __init__(self, width: int, dropout: float, norm: bool) -> None:
        super().__init__()
        self.first = nn.Linear(6, width)
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.dropout(torch.relu(self.norm(self.first(x)))))


class Memory(nn.Module):
    """Adds a running mean of what it has seen: state that the forward pass changes."""

    mean: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean.mul_(0.9).add_(x.detach().mean(0), alpha=0.1)
        return x + self.mean


class Reciprocal(nn.Module):
    """x, or infinity in the first row of it when `trigger` has a 13 in it."""

    def forward(self, x: Tensor, trigger: Tensor) -> Tensor:
        return x / (trigger[:, :1] != 13).to(x.dtype)


class Step(nn.Module):
    def __init__(self, width: int, dropout: float, norm: bool, coupled: bool) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({"image": Encoder(width, dropout, norm), "momentum": Encoder(width, 0.0, norm)})
        self.encoders["momentum"].load_state_dict(self.encoders["image"].state_dict())
        self.encoders["momentum"].requires_grad_(False)
        self.predictor = nn.Linear(width, width)
        self.memory = Memory(width) if coupled else nn.Identity()
        self.fragile = Reciprocal()
        self.weightings = nn.ParameterDict({"m3i": nn.Parameter(torch.zeros(2))})

    def forward(self, view1: Tensor, view2: Tensor) -> dict[str, Any]:
        z = self.encoders["image"](view1)
        prediction = self.predictor(z)
        intra_target = self.encoders["momentum"](view1)
        inter_target = self.encoders["momentum"](view2)
        intra = (prediction - intra_target).square().mean()
        careful = self.fragile(self.memory(prediction), view2)
        inter = (careful - inter_target).square().mean()
        s = self.weightings["m3i"]
        loss = intra * torch.exp(-s[0]) + inter * torch.exp(-s[1]) + s.sum() / 2
        return {
            "loss": loss,
            "losses": {"m3i.intra": intra, "m3i.inter": inter},
            "weights": {"m3i": torch.exp(-s)},
            "representations": {
                "m3i/input": z.detach(),
                "m3i.intra/prediction": prediction.detach(),
                "m3i.intra/target": intra_target.detach(),
            },
        }


class Tracer(fx.Tracer):
    """Keeps modules with state whole, as the compiler does."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Encoder | Memory) or super().is_leaf_module(m, module_qualified_name)


@dataclass
class Pair:
    source: nn.Module
    average: nn.Module
    momentum: Ramp
    over: Duration | None = None


@dataclass
class TinyGraph:
    program: Program
    module: nn.Module
    averages: tuple[Pair, ...]
    provenance: Mapping[str, str]


def tiny_graph(
    *,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    epochs: float = 4,
    batch: int = BATCH,
    clip: float | None = 1.0,
    precision: Any = "fp32",
    width: int = 8,
    dropout: float = 0.2,
    coupled: bool = True,
    dtype: torch.dtype = torch.float32,
    objectives: tuple[Any, ...] | None = None,
) -> TinyGraph:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = Step(width, dropout, norm=coupled, coupled=coupled).to(dtype)
    traced = fx.GraphModule(module, Tracer().trace(module))
    source, average = traced.get_submodule("encoders.image"), traced.get_submodule("encoders.momentum")
    pair = Pair(source, average, Ramp(0.9, 1.0, "cosine"))
    provenance = {node.name: "tiny.m3i:3 m3i.inter" for node in traced.graph.nodes if "truediv" in node.name}
    word = AdamW(lr=Rate(0.01, None)) if optimizer is None else optimizer
    program = tiny_program(word, schedule or Cosine(), epochs, batch, clip, precision, objectives)
    return TinyGraph(program, traced, (pair,), provenance)


@dataclass(frozen=True)
class NamedTarget:
    """The parts of a semantics.program.Target that training reads."""

    name: str
    span: Span


@dataclass(frozen=True)
class NamedObjective:
    """The parts of a semantics.program.Objective that training reads."""

    name: str
    targets: tuple[NamedTarget, ...]
    span: Span
    pairs_images: Any = None
    inputs: tuple[Any, ...] = ()


def span_of(text: str) -> Span:
    start = RECIPE.text.index(text)
    return Span(RECIPE, start, start + len(text))


def tiny_objective(pairs_images: Any = None) -> NamedObjective:
    targets = tuple(NamedTarget(name, span_of(f"target {name} {{}}")) for name in ("intra", "inter"))
    return NamedObjective("m3i", targets, span_of("objective m3i"), pairs_images)


def tiny_program(
    optimizer: Optimizer,
    schedule: Schedule,
    epochs: float,
    batch: int,
    clip: float | None,
    precision: Any,
    objectives: tuple[Any, ...] | None,
) -> Program:
    span = span_of("train { batch 8 }")
    training = Training(
        batch=batch,
        length=Duration(epochs, "epochs"),
        warmup=Duration(0.1, "%"),
        optimizer=Placed(optimizer, span, {}),
        schedule=Placed(schedule, span, {}),
        precision=precision,
        seed=0,
        clip=None if clip is None else Clip(clip),
        span=span,
        settings={"batch": span_of("batch 8")},
    )
    named = (tiny_objective(),) if objectives is None else objectives
    return Program("tiny", RECIPE, {}, {}, {}, {}, named, training, (), span)


@dataclass
class TinyStream:
    """Batches as a function of the step. `poison` puts a 13 into that step's batch; `before` is called with each
    step.
    """

    batch: int = BATCH
    steps_per_epoch: int = STEPS_PER_EPOCH
    poison: int | None = None
    before: Callable[[int], None] = lambda step: None
    dtype: torch.dtype = torch.float32
    asked: list[int] = field(default_factory=list[int])

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        for step in range(start, stop):
            self.before(step)
            self.asked.append(step)
            yield self.at(step)

    def at(self, step: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(1000 + step)
        view1 = torch.randn(self.batch, 6, generator=generator, dtype=torch.float64).to(self.dtype)
        view2 = view1 + 0.1 * torch.randn(self.batch, 6, generator=generator, dtype=torch.float64).to(self.dtype)
        if step == self.poison:
            view2[0, 0] = 13
        return {"view1": view1, "view2": view2}


@dataclass
class Silent:
    """A display that remembers."""

    said: list[str] = field(default_factory=list[str])
    warned: list[Notice] = field(default_factory=list[Notice])
    progress: list[Progress] = field(default_factory=list[Progress])
    evaluations: list[tuple[int, Mapping[str, Score]]] = field(default_factory=list[tuple[int, Mapping[str, Score]]])
    plan: Plan | None = None

    def start(self, plan: Plan) -> None:
        self.plan = plan

    def update(self, progress: Progress) -> None:
        self.progress.append(progress)

    def evaluated(self, step: int, results: Mapping[str, Score]) -> None:
        self.evaluations.append((step, results))

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, notice: Notice) -> None:
        self.warned.append(notice)

    def close(self) -> None:
        self.closed = True


def options(**changes: Any) -> TrainOptions:
    return TrainOptions(**({"log_every": 2, "monitor_every": 4, "reporting": Reporting(sinks=())} | changes))


def trainer(
    run: RunFolder, graph: TinyGraph | None = None, stream: TinyStream | None = None, **arguments: Any
) -> Trainer:
    settings = {name: arguments.pop(name) for name in list(arguments) if name in TrainOptions.__dataclass_fields__}
    arguments.setdefault("display", Silent())
    return Trainer(graph or tiny_graph(), stream or TinyStream(), run, options(**settings), **arguments)


def create(path: Path) -> RunFolder:
    return RunFolder.create(path, IDENTITY)


def raise_signal_at(step: int, number: signal.Signals) -> Callable[[int], None]:
    def before(now: int) -> None:
        if now == step:
            signal.raise_signal(number)

    return before
