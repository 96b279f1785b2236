"""Activation checkpointing: activations of transformer blocks are computed again in the backward pass.

Takes: a module before compilation and sharding. Gives: the same module, whose trained blocks keep only their input.
Guarantees: the same losses, gradients and random numbers, for about a third more computation; state-dict names stay. A
block with batch norm is left as it is: its running statistics would see every batch twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]  # torch's own base class
from torch.utils.checkpoint import checkpoint

from m3i_dsl.runtime.compiling import transformer_blocks

Recompute = Literal["none", "blocks"]


def recompute_blocks(module: nn.Module, mode: Recompute) -> int:
    """Returns how many blocks are computed again."""
    if mode == "none":
        return 0
    found = [block for block in transformer_blocks(module) if _can(block)]
    for block in found:
        block.forward = _Recomputed(block.forward)
    return len(found)


class _Recomputed:
    """A forward pass that keeps its inputs only. Not a `partial`, which torch.compile cannot look into."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self._forward = forward

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return checkpoint(self._forward, *arguments, use_reentrant=False, **named)


def _can(block: nn.Module) -> bool:
    trained = any(parameter.requires_grad for parameter in block.parameters())
    return trained and not any(isinstance(part, _BatchNorm) for part in block.modules())
