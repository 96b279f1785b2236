"""When two tensors are the same result.

Takes: what was measured and what is expected. Gives: nothing, or raises Disagreement naming what differs and by how
much. Guarantees: in float64 only the order of sums may differ; in a narrower type the tolerance is that of the type.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

RELATIVE = 1e-10
"""Of the largest entry of each tensor, in float64."""

ABSOLUTE = 1e-14
"""What is zero in exact arithmetic (the gradient of a key's bias) is rounding noise on both sides."""


class Disagreement(AssertionError):
    """Two results differ."""


def gradients(module: nn.Module) -> dict[str, Tensor | None]:
    """The gradient of every parameter, by name."""
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def buffers(module: nn.Module) -> dict[str, Tensor]:
    """A copy of every buffer, by name."""
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def agree_all(
    what: str,
    measured: Mapping[str, Tensor | None],
    expected: Mapping[str, Tensor | None],
    absolute: float = ABSOLUTE,
) -> None:
    """Raises Disagreement unless both have the same names, None at the same ones, and equal values."""
    if measured.keys() != expected.keys():
        raise Disagreement(f"{what}: names differ in {sorted(measured.keys() ^ expected.keys())}")
    for name, value in measured.items():
        agree(f"{what} {name}", value, expected[name], absolute)


def agree(what: str, measured: Tensor | None, expected: Tensor | None, absolute: float = ABSOLUTE) -> None:
    """Raises Disagreement unless both are None or differ by at most RELATIVE of the largest entry, plus `absolute`."""
    if measured is None or expected is None:
        if measured is not expected:
            there = "graph" if expected is None else "reference"
            raise Disagreement(f"{what}: only the {there} has one")
        return
    measured, expected = measured.detach(), expected.detach()
    if measured.shape != expected.shape or measured.dtype != expected.dtype:
        raise Disagreement(f"{what}: {measured.shape} {measured.dtype}, expected {expected.shape} {expected.dtype}")
    if not measured.is_floating_point():
        if not torch.equal(measured, expected):
            raise Disagreement(f"{what}: {measured}, expected {expected}")
        return
    difference = float((measured - expected).abs().max()) if measured.numel() else 0.0
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    if not difference <= RELATIVE * largest + absolute:
        raise Disagreement(f"{what}: differs by {difference:.3g}, largest entry {largest:.3g}")
