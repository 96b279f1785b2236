"""What must agree before anything is timed.

Takes: a hand-written model and a compiled graph, or two numbers of parameters. Gives: nothing; raises Disagreement.
Guarantees: every parameter of both has exactly one counterpart, of the same shape; weights are copied from the graph.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import Handwritten

PARAMETERS = 0.01
"""How far a peer's number of trained parameters may be from ours, as a share."""

LOSS = 2e-4
"""Of the first loss, in float32 and with the same weights."""


class Disagreement(AssertionError):
    """The sides do not compute the same thing."""


def paired(model: Handwritten, graph: nn.Module) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """(own, compiled) for every parameter. Raises Disagreement when one of them is left over or differs in shape."""
    counterparts = model.counterparts(graph)
    if counterparts is None:
        raise Disagreement(f"{type(model).__name__} does not say what its parts are in the graph")
    pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
    for own, other in counterparts:
        mine, theirs = _parameters(own), _parameters(other)
        shapes = [tuple(p.shape) for p in mine], [tuple(p.shape) for p in theirs]
        if shapes[0] != shapes[1]:
            raise Disagreement(f"{type(own).__name__}: shapes {shapes[0]} by hand, {shapes[1]} compiled")
        pairs += zip(mine, theirs, strict=True)
    for side, module in enumerate((model, graph)):
        seen, present = {id(pair[side]) for pair in pairs}, {id(p) for p in module.parameters()}
        if seen != present:
            names = [name for name, p in module.named_parameters() if id(p) not in seen]
            raise Disagreement(
                f"no counterpart for {names[:3]} of {'the compiled graph' if side else 'the hand-written'}"
            )
    return pairs


@torch.no_grad()
def copy_weights(model: Handwritten, graph: nn.Module) -> None:
    """The weights of the compiled graph, in the hand-written model."""
    for own, compiled in paired(model, graph):
        own.copy_(compiled)


def same_loss(name: str, measured: Tensor, expected: Tensor, tolerance: float = LOSS) -> None:
    """Raises Disagreement unless two losses agree."""
    if not abs(float(measured) - float(expected)) <= tolerance * max(1.0, abs(float(expected))):
        raise Disagreement(f"{name}: first loss {float(measured):.6f}, not {float(expected):.6f}")


def same_parameters(name: str, measured: int, expected: int, tolerance: float = 0.0) -> None:
    """Raises Disagreement unless two numbers of trained parameters agree."""
    if abs(measured - expected) > tolerance * expected:
        raise Disagreement(f"{name}: {measured:,} trained parameters, not {expected:,}")


def _parameters(part: nn.Module | nn.Parameter) -> list[nn.Parameter]:
    return [part] if isinstance(part, nn.Parameter) else list(part.parameters())
