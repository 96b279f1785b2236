"""Modules and batches without memory.

Takes: an executable on any device, `meta` included, and a batch size. Gives: its module and a batch as fake tensors:
shapes, dtypes and aliasing as on a processor, no content. Guarantees: nothing is allocated; the module that was given
is left alone. Fake tensors and not `meta` ones, because those have neither autocast nor the fused attention that a
run uses.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from m3i_dsl.ir.dimensions import batches_in
from m3i_dsl.ir.graph import Type
from m3i_dsl.lower.executable import Executable

_DTYPES = {"f32": torch.float32, "i64": torch.int64, "bool": torch.bool}


@dataclass(frozen=True, slots=True)
class Ghost:
    """`module(**batch)` yields shapes; `categories` binds the dimension C of the class tables."""

    module: fx.GraphModule
    batch: dict[str, Tensor]
    bf16: bool
    mode: FakeTensorMode

    @contextmanager
    def running(self) -> Generator[None]:
        """The context to run it in: fake tensors, and autocast if the recipe asks for bf16."""
        with self.mode, torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            yield


def ghost(executable: Executable, batch: int) -> Ghost:
    """`executable` for `batch` samples at a time (even when two images are mixed)."""
    mode = FakeTensorMode()
    with mode:
        known = {id(tensor): _like(tensor) for tensor in _tensors(executable.module)}
        inputs = {i.source.name: _example(i.value.type, batch) for i in executable.graph.inputs}
    # A copy that finds every tensor already copied copies none.
    module = copy.deepcopy(executable.module, known)
    return Ghost(module.train(), inputs, executable.program.training.precision == "bf16", mode)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _like(tensor: Tensor) -> Tensor:
    empty = torch.empty(tensor.shape, dtype=tensor.dtype)
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _example(type_: Type, batch: int) -> Tensor:
    sizes = [(dimension, batches_in(dimension)) for dimension in type_.dimensions]
    shape = [cast(int, dimension) if part is None else int(part * batch) for dimension, part in sizes]
    return torch.empty(shape, dtype=_DTYPES[type_.dtype])
