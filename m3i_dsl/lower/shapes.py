"""Cross-check of the IR's shape rules against torch.

Takes: an executable. Gives: nothing. Guarantees: every value that an equation yields has, on the meta device, the
shape that the IR says; a disagreement is an internal error, never a guess. A step that waits for the device
(`.item()`) fails here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, fx

from m3i_dsl.ir.dimensions import batches_in
from m3i_dsl.ir.graph import Dimension, Value
from m3i_dsl.lower.executable import Executable
from m3i_dsl.semantics.pattern import PAIR

_DTYPES = {"f32": torch.float32, "i64": torch.int64, "bool": torch.bool}


class ShapeDisagreement(AssertionError):
    """The IR and torch disagree on a shape: a bug of m3ic."""


def check_shapes(executable: Executable, categories: Mapping[str, int]) -> None:
    """Runs the graph on the meta device with two mixed pairs, or two periods of a mixture. Raises ShapeDisagreement."""
    size = 2 * math.lcm(PAIR, executable.program.unit)
    names = {value.name: value for equation in executable.graph.equations for value in equation.results}
    batch = {i.source.name: _example(i.value, size) for i in executable.graph.inputs}
    classes = frozenset(categories.values())
    module = copy.deepcopy(executable.module).to("meta")
    interpreter = _Recorder(module, executable.values)
    interpreter.run(*(batch[str(node.target)] for node in module.graph.nodes if node.op == "placeholder"))
    for name, shape in interpreter.shapes.items():
        type_ = names[name].type
        sizes = zip(type_.dimensions, shape, strict=False)
        if len(shape) != len(type_.dimensions) or not all(_fits(d, found, size, classes) for d, found in sizes):
            raise ShapeDisagreement(f"%{name}: the IR says {type_} with B = {size}, torch {shape}")


class _Recorder(fx.Interpreter):
    """Keeps the shape of each value of the IR."""

    def __init__(self, module: fx.GraphModule, values: Mapping[str, str]) -> None:
        super().__init__(module)
        self.values = values
        self.shapes: dict[str, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if n.name in self.values and isinstance(result, Tensor):
            self.shapes[self.values[n.name]] = tuple(result.shape)
        return result


def _example(value: Value, batch: int) -> Tensor:
    shape = tuple(_size(dimension, batch) for dimension in value.type.dimensions)
    return torch.empty(shape, dtype=_DTYPES[value.type.dtype], device="meta")


def _fits(dimension: Dimension, size: int, batch: int, categories: frozenset[int]) -> bool:
    """Each class table has the categories of its own data."""
    return size in categories if dimension == "C" else size == _size(dimension, batch)


def _size(dimension: Dimension, batch: int) -> int:
    if isinstance(dimension, int):
        return dimension
    batches = batches_in(dimension)
    assert batches is not None, f"an input or a value of size `{dimension}`"
    return int(batches * batch)
