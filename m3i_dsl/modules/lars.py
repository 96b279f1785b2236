"""LARS: momentum SGD whose step on each adapted tensor is proportional to the tensor (You et al. 2017).

Takes: parameter groups with `adapt`, beside what torch's SGD has. Gives: a torch optimizer. Guarantees: the norm that a
step is divided by is that of gradient and weight decay together, as in BYOL and Barlow Twins (timm adds the two norms);
a tensor that is zero, or whose step is, moves as under plain momentum; nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from m3i_dsl.collectives.sharded import whole


class LarsOptimizer(torch.optim.Optimizer):
    """u = g + weight_decay theta; v <- momentum v + q u; theta <- theta - lr v.

    q = trust_coefficient |theta| / |u| in groups with `adapt`, 1 in others.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        trust_coefficient: float,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "adapt": True,
        }
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Moves every parameter that has a gradient. Raises ValueError for a closure: the loss is computed before."""
        if closure is not None:
            raise ValueError("LARS moves by gradients that are there; it computes no loss")
        moved = [(p, p.grad, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        updates = [gradient.add(p, alpha=group["weight_decay"]) for p, gradient, group in moved]
        adapted = [index for index, (_, _, group) in enumerate(moved) if group["adapt"]]
        if adapted:
            measured = [*(moved[index][0] for index in adapted), *(updates[index] for index in adapted)]
            # In one row, so that of sharded tensors all are summed over the ranks at once.
            weights, norms = whole(torch.stack([tensor.norm() for tensor in measured])).chunk(2)
            usual = (weights > 0) & (norms > 0)
            for place, index in enumerate(adapted):
                ratio = moved[index][2]["trust_coefficient"] * weights[place] / norms[place]
                updates[index] = updates[index] * torch.where(usual[place], ratio, torch.ones_like(ratio))
        for (parameter, _, group), update in zip(moved, updates, strict=True):
            self._move(parameter, update, group)

    def _move(self, parameter: Tensor, update: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        velocity = state["momentum_buffer"].mul_(group["momentum"]).add_(update)
        parameter.sub_(velocity, alpha=group["lr"])
