"""From the IR to a torch.fx GraphModule.

Takes: a graph and its parts. Gives: a GraphModule of `call_module` and `call_function` nodes, called with the step's
inputs by name. Guarantees: every node carries its recipe line (`meta["stack_trace"]`, which `print_readable` and
torch's own errors show); encoders stay whole modules, so that sharding, compiling and hooks see them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from torch import fx, nn

from m3i_dsl.ir.graph import Equation, Graph, Place, Value
from m3i_dsl.ir.operations import OPERATIONS
from m3i_dsl.lower.parts import attribute_name
from m3i_dsl.modules import blending, features, normalize, penalties, pixels, rows, text_encoder, tokens

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "partner": tokens.partner,
    "blend": tokens.blend,
    "mixed": blending.mixed,
    "own_share": blending.own_share,
    "invert": tokens.invert,
    "rows": rows.rows,
    "gather": tokens.gather_tokens,
    "filled": tokens.filled,
    "patches": tokens.patches,
    "pool": tokens.pool,
    "pool_text": text_encoder.pool_text,
    "real_tokens": text_encoder.real_tokens,
    "patchify": pixels.patchify,
    "resize": pixels.resize,
    "renormalize": pixels.renormalize,
    "average_layers": features.average_layers,
    "match": features.match,
    "stop_gradient": features.stop_gradient,
    "add": features.add,
    "mean": features.mean,
    "correlation": penalties.correlation,
    "concat": tokens.concat,
    "split": tokens.split,
}

_NORMALIZATIONS: Mapping[str, Callable[..., Any]] = {
    "layer": normalize.layer,
    "l2": normalize.l2,
    "batch": normalize.standardize,
}


def to_fx(graph: Graph, parts: nn.Module) -> tuple[fx.GraphModule, dict[str, str]]:
    """The GraphModule of `graph` over `parts`, those of `build_parts` or another GraphModule; and the IR value that
    each node computes, by the names of both.
    """
    lowering = _Lowering(graph)
    for equation in graph.equations:
        lowering.equation(equation)
    lowering.output()
    module = fx.GraphModule(parts, lowering.fx, class_name="Step")
    for section, group in parts.named_children():
        module.add_module(section, group)  # GraphModule copies paths into plain containers: put the real ones back
    module.graph.lint()
    return module, {node.name: value for value, node in lowering.nodes.items() if node.op != "placeholder"}


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self.ir = graph
        self.fx = fx.Graph()
        self.nodes: dict[str, fx.Node] = {}
        for input_ in graph.inputs:
            self.nodes[input_.value.name] = self.fx.placeholder(input_.source.name)

    def equation(self, equation: Equation) -> None:
        operation = OPERATIONS[equation.operation]
        arguments = tuple(value and self.nodes[value.name] for value in equation.arguments)
        attributes = dict(equation.attributes)
        if operation.section is not None:
            target = f"{operation.section}.{attribute_name(str(attributes['module']))}"
            positional, named = operation.call(arguments, attributes)
            node = self._place(self.fx.call_module(target, positional, dict[str, Any](named)), equation.place)
        elif equation.operation == "normalize":
            node = self._function(_NORMALIZATIONS[str(attributes["by"])], arguments, {}, equation.place)
        else:
            node = self._function(_FUNCTIONS[equation.operation], arguments, attributes, equation.place)
        self._results(equation, node)

    def _results(self, equation: Equation, node: fx.Node) -> None:
        returns_tuple = len(equation.results) > 1
        if not returns_tuple:
            self.nodes[equation.results[0].name] = node
            return
        for index, value in enumerate(equation.results):
            self.nodes[value.name] = self._function(operator.getitem, (node, index), {}, equation.place)

    def _function(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], kwargs: dict[str, Any], place: Place
    ) -> fx.Node:
        return self._place(self.fx.call_function(function, arguments, kwargs), place)

    def _place(self, node: fx.Node, place: Place) -> fx.Node:
        # Two lines, as in a traceback: torch shows a node's place only with a line of code below it.
        where = f'  File "{place.file}", line {place.line}, in {place.role or "recipe"}'
        node.meta["stack_trace"] = f"{where}\n    {node.name}"
        node.meta["place"] = place
        return node

    def output(self) -> None:
        """`{"loss", "losses", "weights", "representations"}`; representations are detached, for monitors only."""
        result: dict[str, Any] = {"losses": {}, "weights": {}, "representations": {}}
        for name, value in self.ir.outputs:
            group, _, key = name.partition("/")
            if not key:
                result[group] = self._node(value)
            elif group == "representations":
                result[group][key] = self.fx.call_method("detach", (self._node(value),))
            else:
                result[group][key] = self._node(value)
        self.fx.output(result)

    def _node(self, value: Value) -> fx.Node:
        return self.nodes[value.name]
