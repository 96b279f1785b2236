"""Floating-point operations of a step, counted operation by operation.

Takes: a fake copy. Gives: for each call of the graph, what its forward and its backward pass take; a multiply-add is
two. Guarantees: matrix products, convolutions and attention are counted from their shapes by torch's formulas, nothing
else is (norms, activations and losses are bound by memory, not by arithmetic); a call without gradient has no backward;
the scores that a fused attention computes a second time in its backward pass are not counted, as in every published
MFU.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from m3i_dsl.lower.parts import Group
from m3i_dsl.plan.fake_copy import FakeCopy

Role = Literal["encoder", "predictor", "loss"]

_ROLES: Mapping[str, Role] = {"encoders": "encoder", "projectors": "encoder", "predictors": "predictor"}
"""By section of the graph's modules; all others, and functions between modules, belong to the losses."""


@dataclass(frozen=True, slots=True)
class CallFlops:
    """One call of a step. `name` is that of the part in the recipe, "" for a function."""

    role: Role
    name: str
    forward: int
    backward: int


def count_flops(fake: FakeCopy) -> tuple[CallFlops, ...]:
    """Every call of the graph that computes, in order, for the whole batch of `fake`."""
    with fake.running():
        interpreter = _ByCall(fake.module)
        interpreter.run(*(fake.batch[str(n.target)] for n in fake.module.graph.nodes if n.op == "placeholder"))
        return interpreter.backward()


class OperationCounter(TorchDispatchMode):
    """`total` is the FLOPs of the operations that ran inside."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def _attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(q.shape, k.shape, v.shape)


def _attention_backward(_: Tensor, q: Tensor, k: Tensor, v: Tensor, *__: Any, **___: Any) -> int:
    """Two products for each one of the forward pass: scores that are recomputed do not count."""
    return 2 * sdpa_flop_count(q.shape, k.shape, v.shape)


def _convolution_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, *rest: Any, out_val: tuple[Tensor | None, ...] = ()
) -> int:
    """As much as the forward pass for each of the gradients of image and weight that is wanted, groups included."""
    transposed = bool(rest[4])
    one = 2 * (x if transposed else gradient).numel() * weight[0].numel()
    return one * sum(out is not None for out in out_val[:2])


_FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    torch.ops.aten.convolution_backward: _convolution_backward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
"""torch's own, but for the fused attention of the processor, which has none and is what fake tensors run, and for the
gradient of convolutions, where torch's does not divide by the groups."""


@dataclass(slots=True)
class _Call:
    role: Role
    name: str
    forward: int
    parameters: list[Tensor]
    given: list[tuple[int, Tensor]]
    """The identity of each tensor in the graph, and the leaf that stands for it inside the call."""
    results: list[Tensor]


class _ByCall(fx.Interpreter):
    """Runs each call on leaves of its own, so that its backward pass can be run, and counted, alone."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.calls: list[_Call] = []
        self.loss: Tensor | None = None

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n.op in ("placeholder", "get_attr") or n.target is operator.getitem:
            return getattr(self, n.op)(n.target, args, kwargs)
        if n.op == "output":
            self.loss = args[0]["loss"]
            return args[0]
        given: list[tuple[int, Tensor]] = []

        def leaf(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            given.append((id(value), value.detach().requires_grad_(value.requires_grad)))
            return given[-1][1]

        args, kwargs = tree_map(leaf, args), tree_map(leaf, kwargs)
        with OperationCounter() as counter:
            result = getattr(self, n.op)(n.target, args, kwargs)
        role, name, parameters = self._part(n)
        results = [item for item in tree_flatten(result)[0] if isinstance(item, Tensor)]
        self.calls.append(_Call(role, name, counter.total, parameters, given, results))
        return result

    def _part(self, node: fx.Node) -> tuple[Role, str, list[Tensor]]:
        if node.op != "call_module":
            return "loss", "", []
        section, _, name = str(node.target).partition(".")
        group = self.module.get_submodule(section)
        assert isinstance(group, Group)
        named = next(known for known in group.names() if group[known] is self.module.get_submodule(str(node.target)))
        parameters: list[Tensor] = [p for p in group.get_submodule(name).parameters() if p.requires_grad]
        return _ROLES.get(section, "loss"), named, parameters

    def backward(self) -> tuple[CallFlops, ...]:
        """The backward pass from the loss, call by call from the last to the first."""
        assert self.loss is not None
        gradients: dict[int, Tensor] = {id(self.loss): torch.ones_like(self.loss)}
        counted: list[CallFlops] = []
        for call in reversed(self.calls):
            total = self._backward_of(call, gradients)
            if call.forward or total:
                counted.append(CallFlops(call.role, call.name, call.forward, total))
        return tuple(reversed(counted))

    def _backward_of(self, call: _Call, gradients: dict[int, Tensor]) -> int:
        reached = [result for result in call.results if result.requires_grad and id(result) in gradients]
        leaves = [(key, tensor) for key, tensor in call.given if tensor.requires_grad]
        inputs = [tensor for _, tensor in leaves] + call.parameters
        if not reached or not inputs:
            return 0
        with OperationCounter() as counter:
            found = torch.autograd.grad(reached, inputs, [gradients[id(r)] for r in reached], allow_unused=True)
        for (key, _), gradient in zip(leaves, found, strict=False):
            if gradient is not None:  # pyright: ignore[reportUnnecessaryComparison]  # None when unused
                gradients[key] = gradients[key] + gradient if key in gradients else gradient
        return counter.total
