"""The values inside a step, by their names in the IR.

Takes: an executable and a batch. Gives: `Captured`: every value of one forward pass, as computed (not detached), and
losses computed anew with some values replaced. Guarantees: only what depends on a replaced value is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from m3i_dsl.ir.graph import Equation, Graph, Value
from m3i_dsl.lower.executable import Executable


class Captured:
    """One forward pass of `executable` on `batch`."""

    def __init__(self, executable: Executable, batch: Mapping[str, Tensor]) -> None:
        self.executable = executable
        self._interpreter = fx.Interpreter(executable.module, garbage_collect_values=False)
        self._nodes = {value: node for node in executable.module.graph.nodes for value in self._names(node)}
        placeholders = [node for node in executable.module.graph.nodes if node.op == "placeholder"]
        self._interpreter.run(*(batch[str(node.target)] for node in placeholders))
        self._values: dict[fx.Node, Any] = dict(self._interpreter.env)

    def value(self, name: str) -> Tensor:
        """The value called `name` in the IR."""
        return self._values[self._nodes[name]]

    def output(self, name: str) -> Tensor:
        """The value of a graph output, before it is detached for monitors."""
        return self.value(self.executable.graph.output(name).name)

    def recomputed(self, output: str, replaced: Mapping[str, Tensor]) -> Tensor:
        """A graph output when the IR values `replaced` are others."""
        wanted = self._nodes[self.executable.graph.output(output).name]
        env = dict(self._values) | {self._nodes[name]: value for name, value in replaced.items()}
        changed = {self._nodes[name] for name in replaced}
        needed = _ancestors(wanted)
        self._interpreter.env = env
        for node in self.executable.module.graph.nodes:
            if node in needed and node not in changed and any(source in changed for source in node.all_input_nodes):
                env[node] = self._interpreter.run_node(node)
                changed.add(node)
        return env[wanted]

    def _names(self, node: fx.Node) -> tuple[str, ...]:
        if node.op == "placeholder":
            return (str(node.target),)
        value = self.executable.values.get(node.name)
        return () if value is None else (value,)


def producer(graph: Graph, value: Value) -> Equation | None:
    """The equation that makes `value`; None for an input."""
    for equation in graph.equations:
        if any(result.name == value.name for result in equation.results):
            return equation
    return None


def representations(graph: Graph, role: str, side: str) -> list[str]:
    """The outputs `representations/ROLE/SIDE`, with those of second images and backward directions."""
    start = f"representations/{role}/{side}"
    return [name for name, _ in graph.outputs if name == start or name.startswith(f"{start}/")]


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found


def gradients_of(output: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """The gradient of the sum of squares of `output`; of a plain sum it may vanish, as behind a layer norm."""
    if not output.requires_grad:
        return dict.fromkeys(inputs)
    found = torch.autograd.grad(output.square().sum(), tuple(inputs.values()), allow_unused=True, retain_graph=True)
    return dict(zip(inputs, found, strict=True))
