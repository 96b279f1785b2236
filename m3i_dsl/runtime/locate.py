"""Which node of the graph made the first non-finite number.

Takes: the module and the batch of a failing step, with buffers and random numbers as they were. Gives: the targets at
fault, the node and its recipe line, or the parameter whose gradient is not finite. Guarantees: only nodes that the
loss depends on through non-finite values are named, so that a mask of -inf inside an attention is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from m3i_dsl.runtime.interfaces import Batch


@dataclass(frozen=True, slots=True)
class Culprit:
    """`targets` whose loss (or gradient) is not finite; `node` and its recipe `line`; `is_input` when it is the
    batch.
    """

    targets: tuple[str, ...] = ()
    node: str | None = None
    line: str | None = None
    is_input: bool = False
    parameter: str | None = None


def locate(
    module: nn.Module,
    batches: Iterable[Batch],
    provenance: Mapping[str, str],
    anywhere: Callable[[bool], bool] = bool,
) -> Culprit:
    """Runs the step again, microbatch by microbatch. The caller puts buffers and random numbers back afterwards.

    `anywhere` says whether something is true in any process: all must go on or stop alike, for they compute together.
    """
    for batch in batches:
        kinds: dict[fx.Node, bool] = {}
        if isinstance(module, fx.GraphModule):
            outputs: Any = _Recorder(module, kinds).run(*_arguments(module, batch))
        else:
            outputs = module(**batch)
        targets = tuple(name for name, loss in outputs["losses"].items() if not bool(torch.isfinite(loss)))
        if anywhere(bool(targets) or not bool(torch.isfinite(outputs["loss"]))):
            origin = _origin(module.graph, kinds) if isinstance(module, fx.GraphModule) else None
            if origin is None:
                return Culprit(targets)
            return Culprit(targets, origin.name, provenance.get(origin.name), origin.op == "placeholder")
        culprit = _gradient_culprit(module, outputs, anywhere)
        if anywhere(culprit is not None):
            return culprit or Culprit()
    return Culprit()


class _Recorder(fx.Interpreter):
    """Runs a graph and notes which nodes are not finite: True for a NaN or +inf among them, False for -inf alone."""

    def __init__(self, module: fx.GraphModule, kinds: dict[fx.Node, bool]) -> None:
        super().__init__(module)
        self._kinds = kinds

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        found = [tensor for tensor in _tensors(result) if not bool(torch.isfinite(tensor).all())]
        if found and n.op != "output":
            self._kinds[n] = any(bool((torch.isnan(t) | (t == torch.inf)).any()) for t in found)
        return result


def _origin(graph: fx.Graph, kinds: Mapping[fx.Node, bool]) -> fx.Node | None:
    """Walks from the losses back through non-finite nodes to those whose inputs are all finite; the earliest of them.

    A NaN or +inf goes before a -inf, which may be a mask that met the NaN later on.
    """
    output = next(node for node in graph.nodes if node.op == "output")
    returned: Any = output.args[0]
    pending = [node for node in _nodes([returned["loss"], returned["losses"]]) if node in kinds]
    reached: set[fx.Node] = set()
    while pending:
        node = pending.pop()
        if node not in reached:
            reached.add(node)
            pending.extend(source for source in node.all_input_nodes if source in kinds)
    origins = [
        node for node in graph.nodes if node in reached and not any(source in kinds for source in node.all_input_nodes)
    ]
    return next((node for node in origins if kinds[node]), origins[0] if origins else None)


def _gradient_culprit(module: nn.Module, outputs: Any, anywhere: Callable[[bool], bool]) -> Culprit | None:
    """The targets whose loss is finite and whose gradient is not, and the first parameter that shows it."""
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    guilty: dict[str, str] = {}
    for target, loss in [*outputs["losses"].items(), (None, outputs["loss"])]:
        if not loss.requires_grad or (target is None and anywhere(bool(guilty))):
            continue
        gradients = cast(  # torch's annotation leaves out the None of unused parameters
            tuple[Tensor | None, ...],
            torch.autograd.grad(loss, list(trained.values()), retain_graph=True, allow_unused=True),
        )
        for name, gradient in zip(trained, gradients, strict=True):
            if gradient is not None and not bool(torch.isfinite(gradient).all()):
                guilty.setdefault(str(target) if target is not None else "", name)
                break
    if not guilty:
        return None
    return Culprit(tuple(target for target in guilty if target), parameter=next(iter(guilty.values())))


def _arguments(module: fx.GraphModule, batch: Batch) -> list[Tensor]:
    """The batch in the order of the placeholders, which is how an interpreter takes it."""
    return [batch[str(node.target)] for node in module.graph.nodes if node.op == "placeholder"]


def _tensors(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _nodes(value: Any) -> Iterable[fx.Node]:
    if isinstance(value, fx.Node):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _nodes(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _nodes(item)
