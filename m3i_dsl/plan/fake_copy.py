"""Modules and batches without memory.

Takes: an executable on any device, `meta` included, and a batch size. Gives: its module and a batch as fake tensors:
shapes, dtypes and aliasing as on a processor, no content. Guarantees: nothing is allocated; the module that was given
is left alone. Fake tensors and not `meta` ones, because those have neither autocast nor the fused attention that a
run uses.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from m3i_dsl.ir.dimensions import batches_in
from m3i_dsl.ir.graph import Type
from m3i_dsl.lower.executable import Average, Executable

_DTYPES = {"f32": torch.float32, "i64": torch.int64, "bool": torch.bool}


@dataclass(frozen=True, slots=True)
class FakeCopy:
    """`module(**batch)` yields shapes; `averages` are the pairs of its own parts."""

    module: fx.GraphModule
    averages: tuple[Average, ...]
    batch: dict[str, Tensor]
    bf16: bool
    mode: FakeTensorMode

    @contextmanager
    def running(self) -> Generator[None]:
        """The context to run it in: fake tensors, and autocast if the recipe asks for bf16."""
        with self.mode, torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            yield


def fake_copy(executable: Executable, batch: int) -> FakeCopy:
    """`executable` for `batch` samples at a time (even when two images are mixed)."""
    mode = FakeTensorMode()
    with mode:
        inputs = examples(executable, batch)
    module, averages = without_content(executable, mode)
    return FakeCopy(module, averages, inputs, executable.program.training.precision == "bf16", mode)


def without_content(
    executable: Executable, place: AbstractContextManager[object]
) -> tuple[fx.GraphModule, tuple[Average, ...]]:
    """A copy of the module, in training mode, and of its averaged pairs; tensors are those that `place` makes."""
    with place:
        known = {id(tensor): _like(tensor) for tensor in _tensors(executable.module)}
    # A copy that finds every tensor already copied copies none.
    module, averages = copy.deepcopy((executable.module, executable.averages), known)
    return module.train(), averages


def examples(executable: Executable, batch: int) -> dict[str, Tensor]:
    """The inputs of a step of `batch` samples, without content of their own: made inside a mode or on `meta`."""
    return {i.source.name: _example(i.value.type, batch) for i in executable.graph.inputs}


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _like(tensor: Tensor) -> Tensor:
    empty = torch.empty(tensor.shape, dtype=tensor.dtype)
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _example(type_: Type, batch: int) -> Tensor:
    sizes = [(dimension, batches_in(dimension)) for dimension in type_.dimensions]
    shape = [cast(int, dimension) if part is None else int(part * batch) for dimension, part in sizes]
    return torch.empty(shape, dtype=_DTYPES[type_.dtype])
