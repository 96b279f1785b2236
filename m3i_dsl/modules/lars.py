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
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        update = gradient.add(parameter, alpha=group["weight_decay"])
        if group["adapt"]:
            weight_norm, norm = parameter.norm(), update.norm()
            ratio = group["trust_coefficient"] * weight_norm / norm
            update = update * torch.where((weight_norm > 0) & (norm > 0), ratio, torch.ones_like(ratio))
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        velocity = state["momentum_buffer"].mul_(group["momentum"]).add_(update)
        parameter.sub_(velocity, alpha=group["lr"])
