"""Nothing in a step waits for the device: no value is read by the host, and nothing is copied to the device.

Every recipe's step runs on the meta device, which has no values: whatever asks for one (`.item()`, `bool(...)`, a shape
that depends on data) raises. Copies do not, so every operation is looked at: none may make a tensor from a Python list,
and none may take a tensor of the CPU.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from m3i_dsl.modules.positions import relative_embedding
from m3i_dsl.modules.queue import Queue
from m3i_dsl.runtime.distributed.wrapping import alone
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.runtime.guard import Guard
from m3i_dsl.runtime.precision import Precision
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.runtime.schedule import LearningRate
from m3i_dsl.runtime.step import TrainingStep, can_skip
from m3i_dsl.vocabulary.kinds import Grid, Optimizer
from m3i_dsl.vocabulary.optimizers import AdamW, Sgd
from m3i_dsl.vocabulary.values import Clip, Ramp, Rate
from tests.numerics.recipes import compiled, recipe_names, stream_of
from tests.runtime.tiny import Pair

META = torch.device("meta")


class Waiting(AssertionError):
    """An operation that makes the host wait for the device, or the device for the host."""


class NoLists(TorchFunctionMode):
    """Raises Waiting where a tensor is made of Python values, which are copied to its device."""

    FORBIDDEN = (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy)

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        if func in self.FORBIDDEN:
            raise Waiting(func.__name__)
        return func(*args, **(kwargs or {}))


class NoWaiting(TorchDispatchMode):
    """Raises Waiting at reads by the host and at tensors on it."""

    FORBIDDEN = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        self.count += 1
        if func.name().split(".")[0] in self.FORBIDDEN:
            raise Waiting(func.name())
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and value.device.type == "cpu":
                raise Waiting(f"{func.name()} takes a tensor on the host")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", recipe_names())
def test_a_whole_step_of_every_recipe(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard, forward, backward, clipping and averages. The optimizer is plain: torch has no fused one for meta.

    A run waits once, before its optimizer moves for the first time, which is left out.
    """
    of = compiled(name).executable
    batch = {key: value.to(META) for key, value in stream_of(of.program, of).batch_at(1).inputs.items()}
    module, averages = copy.deepcopy((of.module, of.averages))
    module.to(META).train()
    optimizer = plain_optimizer(module)
    guard = Guard(module, META, deferred=True)
    monkeypatch.setattr(guard, "poll", lambda: None)
    rate = LearningRate(1, 10, of.program.training.schedule.word)
    precision = Precision("fp32", META)
    step = TrainingStep(
        alone(module, META),
        optimizer,
        MovingAverages(averages, 10, lambda _: 10),
        rate,
        guard,
        precision,
        scalars=Scalars(module, 10, lambda _: 3),
        clip=Clip(1.0),
        decay=None,
        microbatches=1,
    )
    with NoLists(), NoWaiting() as watched:
        output = step(1, batch)
    assert watched.count > 100
    assert output.loss.device == output.gradient_norm.device == META


class Launches(TorchDispatchMode):
    """Counts operations, each of which is at least a launch on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


def launches(depth: int) -> int:
    """Of an average's update and of the guard's look at the buffers, where a flag on the device may undo both."""
    source, average = (
        nn.Sequential(*[nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)) for _ in range(depth)]) for _ in range(2)
    )
    averages = MovingAverages([Pair(source, average.requires_grad_(False), Ramp.constant(0.9))], 10, lambda _: 10)
    guard = Guard(source, torch.device("cpu"), deferred=True)
    with Launches() as counted:
        guard.before(0)
        averages.update(0, guard.skip)
    return sum(name not in VIEWS for name in counted.names)


VIEWS = {"aten::detach", "aten::view", "aten::_unsafe_view", "aten::alias"}


def test_averages_and_guard_are_as_many_launches_at_any_depth() -> None:
    assert launches(2) == launches(12) < 12


@pytest.mark.parametrize("word", [AdamW(lr=Rate(0.01, None)), Sgd(lr=Rate(0.01, None))])
def test_optimizers_are_fused(word: Optimizer) -> None:
    """So that one kernel moves all parameters of a group and can skip a step by a flag on the device."""
    optimizer = word.build(nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)), 8)
    assert all(group["fused"] for group in optimizer.param_groups)
    assert can_skip(optimizer)


def test_relative_positions_without_geometry_are_made_on_the_device() -> None:
    with NoLists(), NoWaiting() as watched:
        embedding = relative_embedding(None, None, Grid(2, 2), Grid(3, 3), 8, torch.empty(4, 8, device=META))
    assert embedding.shape == (4, 9, 16)
    assert watched.count > 10


def test_a_queue_takes_keys_without_waiting() -> None:
    queue = Queue(8, 4).to(META)
    with NoLists(), NoWaiting() as watched:
        queue.push(torch.empty(2, 4, device=META))
    assert watched.count > 2


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x + torch.tensor([1.0, 2.0], device=META),
        lambda x: x + torch.arange(2).to(META),
    ],
    ids=["item", "bool", "mask", "from a list", "from the host"],
)
def test_waiting_is_noticed(waits: Callable[[Tensor], Any]) -> None:
    with pytest.raises((Waiting, NotImplementedError)), NoLists(), NoWaiting():
        waits(torch.empty(2, device=META))


class Plain(torch.optim.SGD):
    """Gradient descent that takes the flag to skip a step, as fused optimizers do, and ignores it."""

    def step(self, closure: Any = None) -> Any:
        self.found_inf = None
        return super().step(closure)


def plain_optimizer(module: nn.Module) -> torch.optim.Optimizer:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return Plain([{"params": trained, "initial_lr": 0.1}], lr=0.1, foreach=True)
