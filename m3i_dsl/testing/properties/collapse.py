"""Collapse: the constant solution does not win.

For each target, what the loss itself says, not what a short training happens to find:

1. Can the loss move z_y? Measured: whether the target's value in the graph depends on a trained parameter. If not,
   and if something keeps the two sides apart (the certificate that `m3ic check` asks for), there is nothing to win.
2. If it can, the representations are set free: zh and z_y are replaced by tensors of their own, ahead of
   normalisation and standardisation, and the loss is minimised over them. Once as they please, each sample by itself;
   once the same for every sample. If the second reaches the value of the first, a constant is an optimum, training can
   go there, and the target says nothing about the image.

The first part does not read the recipe but the graph, so that a stop gradient that was lost on the way is found.
"""

from __future__ import annotations

import torch
from torch import Tensor

from m3i_dsl.ir.graph import Graph, Value
from m3i_dsl.semantics.checks.collapse import certificate
from m3i_dsl.semantics.program import Objective, Target
from m3i_dsl.testing.captured import Captured, producer, representations
from m3i_dsl.testing.case import Case
from m3i_dsl.testing.outcome import Failed, Property

STEPS = 40
RATE = 0.1
MARGIN = 0.02
"""How much lower than the constant's the free loss must be, relative to the constant's (1 if that is smaller)."""

_PREPARES = ("normalize", "stop_gradient")


def _check(case: Case) -> str:
    captured = Captured(case.copy(), case.batch())
    said: list[str] = []
    for objective in case.program.objectives:
        for target in objective.targets:
            reason = _reason(captured, objective, target, case.seed)
            said.append(f"{target.name}: {reason}")
    return "; ".join(said)


def _reason(captured: Captured, objective: Objective, target: Target, seed: int) -> str:
    """Why the constant solution does not win. Raises Failed if it does."""
    role, graph = f"{objective.name}.{target.name}", captured.executable.graph
    targets = representations(graph, role, "target")
    if not any(captured.output(name).requires_grad for name in targets):
        known = certificate(objective, target)
        if known is None:
            raise Failed(f"nothing keeps z_y and zh of `{role}` apart", target.settings["regularization"])
        return known
    sides = {
        "zh": [_raw(graph, graph.output(name)) for name in representations(graph, role, "prediction")],
        "z_y": [_raw(graph, graph.output(name)) for name in targets],
    }
    free = _lowest(captured, role, sides, seed, constant=False)
    constant = _lowest(captured, role, sides, seed, constant=True)
    if constant - free <= MARGIN * max(1.0, abs(constant)):
        words = " + ".join(placed.word.name for placed in target.regularizations)
        raise Failed(
            f"`{role}` collapses: the loss moves z_y, and with `{words}` and `{target.distribution.word.name}` a "
            f"constant reaches {constant:.3g}, any other representation {free:.3g}",
            target.settings["regularization"],
        )
    return f"a constant reaches {constant:.3g}, informative representations {free:.3g}"


def _raw(graph: Graph, value: Value) -> Value:
    """The value before it was normalised, standardised and detached."""
    equation = producer(graph, value)
    while equation is not None and equation.operation in _PREPARES:
        argument = equation.arguments[0]
        assert argument is not None
        value, equation = argument, producer(graph, argument)
    return value


def _lowest(captured: Captured, role: str, sides: dict[str, list[Value]], seed: int, *, constant: bool) -> float:
    """The lowest loss found by gradient descent over free representations, or over those that are constant."""
    generator = torch.Generator().manual_seed(seed)
    free: dict[str, Tensor] = {}
    shapes = {value.name: captured.value(value.name).shape for values in sides.values() for value in values}
    starts: dict[tuple[int, ...], Tensor] = {}
    for name, shape in shapes.items():
        size = (1, *shape[1:]) if constant else tuple(shape)
        if size not in starts:  # zh starts as z_y where they have one shape
            starts[size] = torch.randn(size, generator=generator, dtype=torch.float64)
        free[name] = starts[size].clone().requires_grad_()
    optimizer = torch.optim.Adam(list(free.values()), lr=RATE)
    lowest = float("inf")
    for _ in range(STEPS):
        replaced = {name: value.expand(shapes[name]) for name, value in free.items()}
        loss = captured.recomputed(f"losses/{role}", replaced)
        lowest = min(lowest, float(loss.detach()))
        optimizer.zero_grad()
        if not loss.requires_grad:
            break
        gradients = torch.autograd.grad(loss, list(free.values()), allow_unused=True)
        for value, gradient in zip(free.values(), gradients, strict=True):
            value.grad = gradient
        optimizer.step()
    return lowest


COLLAPSE = Property("collapse", "no target is best predicted by a constant that the loss can reach", _check)
