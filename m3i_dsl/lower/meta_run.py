"""A step without numbers.

Takes: an executable in float32. Gives: `MetaRun`, one forward pass of a copy on the meta device: its shapes and its
loss, with the graph that a backward pass would follow. Guarantees: no memory for weights or activations; as one
process, whatever the number of processes; a step that waits for the device (`.item()`) fails here.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, fx, nn

from m3i_dsl.collectives import alone
from m3i_dsl.ir.dimensions import batches_in
from m3i_dsl.ir.graph import Dimension, Value
from m3i_dsl.lower.executable import Executable
from m3i_dsl.semantics.pattern import PAIR

DTYPES = {"f32": torch.float32, "i64": torch.int64, "bool": torch.bool}

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class MetaRun:
    """`module` is the copy, with the names of the original; `shapes` are of the values of the IR, B being `batch`."""

    module: fx.GraphModule
    batch: int
    shapes: Mapping[str, tuple[int, ...]]
    loss: Tensor


Check = Callable[[str, object, int], None]
"""What is asked of each value as it is computed: its name, what was found, and the B of the run."""


def run_on_meta(executable: Executable, check: Check | None = None) -> MetaRun:
    """With two mixed pairs, or two periods of a mixture, as the batch. Raises what `check` raises."""
    size = 2 * math.lcm(PAIR, executable.program.unit)
    batch = {i.source.name: _example(i.value, size) for i in executable.graph.inputs}
    module = _on_meta(executable.module)
    recorder = _Recorder(module, executable.values, size, check)
    with alone(), torch.enable_grad():
        outputs: Any = recorder.run(
            *(batch[str(node.target)] for node in module.graph.nodes if node.op == "placeholder")
        )
    return MetaRun(module, size, recorder.shapes, outputs["loss"])


def size_of(dimension: Dimension, batch: int) -> int:
    """How many entries a dimension that has to do with the batch has, when that is `batch`."""
    if isinstance(dimension, int):
        return dimension
    batches = batches_in(dimension)
    assert batches is not None, f"an input or a value of size `{dimension}`"
    return int(batches * batch)


class _Recorder(fx.Interpreter):
    """Keeps the shape of each value of the IR."""

    def __init__(self, module: fx.GraphModule, values: Mapping[str, str], batch: int, check: Check | None) -> None:
        super().__init__(module)
        self.values, self.batch, self.check = values, batch, check
        self.shapes: dict[str, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> object:
        result = self._part(n) if n.target is operator.getitem else super().run_node(n)
        if n.name in self.values:
            name = self.values[n.name]
            if self.check is not None:
                self.check(name, result, self.batch)
            if isinstance(result, Tensor):
                self.shapes[name] = tuple(result.shape)
        return result

    def _part(self, n: fx.Node) -> object:
        """One of several results; None where a module did not yield so many."""
        whole, index = self.fetch_args_kwargs_from_env(n)[0]
        several = cast("Sequence[object]", whole) if isinstance(whole, tuple | list) else ()
        return several[int(index)] if int(index) < len(several) else None


def _example(value: Value, batch: int) -> Tensor:
    shape = tuple(size_of(dimension, batch) for dimension in value.type.dimensions)
    return torch.empty(shape, dtype=DTYPES[value.type.dtype], device="meta")


def _on_meta(module: M) -> M:
    """A copy on the meta device, made without a copy of the weights first."""
    made: dict[int, Tensor] = {
        id(parameter): nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=parameter.requires_grad)
        for parameter in module.parameters()
    }
    made |= {id(buffer): torch.empty_like(buffer, device="meta") for buffer in module.buffers()}
    return copy.deepcopy(module, made)
