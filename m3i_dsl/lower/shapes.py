"""Cross-check of the IR's shape rules against torch.

Takes: an executable. Gives: nothing. Guarantees: every value that an equation yields has, on the meta device, the
shape that the IR says; a disagreement is an internal error, never a guess. A step that waits for the device
(`.item()`) fails here.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, fx

from m3i_dsl.ir.graph import Dimension, Type, Value
from m3i_dsl.lower.executable import Executable

_BATCH = 4
"""Even, so that a mix can pair; small, for nothing is computed."""

_DTYPES = {"f32": torch.float32, "i64": torch.int64, "bool": torch.bool}


class ShapeDisagreement(AssertionError):
    """The IR and torch disagree on a shape: a bug of m3ic."""


def check_shapes(executable: Executable, categories: Mapping[str, int]) -> None:
    """Runs the graph on the meta device with a batch of 4. Raises ShapeDisagreement."""
    names = {value.name: value for equation in executable.graph.equations for value in equation.results}
    batch = {i.source.name: _example(i.value) for i in executable.graph.inputs}
    classes = max(categories.values(), default=1)
    module = copy.deepcopy(executable.module).to("meta")
    interpreter = _Recorder(module, executable.values)
    interpreter.run(*(batch[str(node.target)] for node in module.graph.nodes if node.op == "placeholder"))
    for name, shape in interpreter.shapes.items():
        expected = _shape(names[name].type, classes)
        if shape != expected:
            raise ShapeDisagreement(f"%{name}: the IR says {expected}, torch {shape}")


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


def _example(value: Value) -> Tensor:
    return torch.empty(_shape(value.type, 1), dtype=_DTYPES[value.type.dtype], device="meta")


def _shape(type_: Type, categories: int) -> tuple[int, ...]:
    return tuple(_size(dimension, categories) for dimension in type_.dimensions)


def _size(dimension: Dimension, categories: int) -> int:
    if isinstance(dimension, int):
        return dimension
    if dimension == "C":
        return categories
    return int(dimension.removesuffix("B") or 1) * _BATCH
