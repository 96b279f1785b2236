"""`lion`: steps of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from m3i_dsl.vocabulary.kinds import Optimizer, WordError
from m3i_dsl.vocabulary.values import Number, Numbers, Rate
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Lion(Optimizer):
    """theta <- theta - lr (sign(b1 m + (1 - b1) g) + decay theta), m <- b2 m + (1 - b2) g (Chen et al. 2023).

    Weight decay is for matrices only: not for parameters of one dimension, tokens and biases among them.
    """

    name = "lion"

    lr: Rate = argument(doc="the peak learning rate, as such or `per` a batch size", above=0)
    betas: Numbers = argument((0.9, 0.99), doc="b1, b2", origin="Chen et al. 2023", minimum=0, below=1)
    weight_decay: Number = argument(0.1, doc="decay", origin="Chen et al. 2023", minimum=0)

    def __post_init__(self) -> None:
        if len(self.betas) != 2:
            raise WordError(f"there are two betas, not {len(self.betas)}", argument="betas", help="write `(b1, b2)`")

    def build(self, module: nn.Module, batch: int) -> torch.optim.Optimizer:
        rate = self.lr.at_batch(batch)
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        groups = [
            {"params": chosen, "lr": rate, "initial_lr": rate, "weight_decay": decay}
            for chosen, decay in (
                ([parameter for parameter in trained if parameter.ndim > 1], self.weight_decay),
                ([parameter for parameter in trained if parameter.ndim <= 1], 0.0),
            )
            if chosen
        ]
        first, second = self.betas
        return lion(groups, first, second)


def lion(groups: list[dict[str, Any]], first: float, second: float) -> torch.optim.Optimizer:
    """The optimizer; in a function, so that torch is imported when it is wanted and not before."""
    import torch

    class LionOptimizer(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            loss = None if closure is None else closure()
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is None:
                        continue
                    state = self.state[parameter]
                    if not state:
                        state["momentum"] = torch.zeros_like(parameter)
                    momentum = state["momentum"]
                    direction = torch.lerp(parameter.grad, momentum, first).sign_()
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"])
                    momentum.lerp_(parameter.grad, 1 - second)
            return loss

    return LionOptimizer(groups, {})
