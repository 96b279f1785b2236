"""What no loss depends on is frozen at compile time.

Takes: an executable and its run on the meta device. Gives: the names of the parameters that are frozen now. Guarantees:
every parameter that requires a gradient gets one in every step. Weight decay then leaves the others as they are, and
DistributedDataParallel, which waits for all gradients, needs no `find_unused_parameters`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from m3i_dsl.lower.executable import Executable
from m3i_dsl.lower.meta_run import MetaRun


def freeze_unused(executable: Executable, meta_run: MetaRun) -> tuple[str, ...]:
    """Nothing is frozen when the loss depends on no parameter at all: then there is nothing to train, which is said."""
    reached = _leaves(meta_run.loss)
    if not reached:
        return ()
    parameters = dict(executable.module.named_parameters())
    unused = tuple(
        name
        for name, copy in meta_run.module.named_parameters()
        if parameters[name].requires_grad and id(copy) not in reached
    )
    for name in unused:
        parameters[name].requires_grad_(False)
    return unused


def _leaves(loss: Tensor) -> set[int]:
    """The ids of the tensors at which a backward pass from `loss` would end."""
    waiting: list[Any] = [loss.grad_fn]
    seen: set[Any] = set()
    found: set[int] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        waiting.extend(following for following, _ in node.next_functions)
    return found
