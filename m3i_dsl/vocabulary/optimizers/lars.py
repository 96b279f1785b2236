"""`lars`: SGD whose step on each matrix is proportional to the matrix."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds import Optimizer
from m3i_dsl.vocabulary.optimizers.parameter_groups import parameter_groups
from m3i_dsl.vocabulary.values import Number, Rate
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Lars(Optimizer):
    """SGD with momentum whose step on each matrix is scaled by its norm over its gradient's (You et al. 2017).

    u = g + weight_decay * theta; v <- momentum * v + trust_coefficient * |theta| / |u| * u; theta <- theta - lr * v.
    Only matrices are adapted and decayed; biases, norms, tokens, positions and weightings take plain momentum steps, as
    in BYOL and Barlow Twins, which gives them a rate of their own (`bias_lr`).
    """

    name: ClassVar[str] = "lars"

    lr: Rate = argument(doc="the peak learning rate of matrices, as such or `per` a batch size", above=0)
    momentum: Number = argument(0.9, doc="decay of the running step", origin="BYOL", minimum=0, below=1)
    weight_decay: Number = argument(1.5e-6, doc="added to the gradient, times the weight", origin="BYOL", minimum=0)
    trust_coefficient: Number = argument(0.001, doc="the step on a matrix over its norm", origin="BYOL", above=0)
    bias_lr: Rate | None = argument(
        None, doc="the peak rate of what is not adapted; that of matrices if left out", origin="Barlow Twins", above=0
    )

    def norms(self, module: "nn.Module") -> int:
        groups = parameter_groups(module, lr=1.0, weight_decay=self.weight_decay)
        return 2 * sum(len(group["params"]) for group in groups if group["role"] == "decayed")

    def build(self, module: "nn.Module", batch: int) -> "torch.optim.Optimizer":
        from m3i_dsl.modules.lars import LarsOptimizer

        groups = parameter_groups(module, lr=self.lr.at_batch(batch), weight_decay=self.weight_decay)
        for group in groups:
            group["adapt"] = group["role"] == "decayed"
            if self.bias_lr is not None and group["role"] != "decayed":
                group["lr"] = group["initial_lr"] = self.bias_lr.at_batch(batch)
        return LarsOptimizer(
            groups,
            lr=self.lr.at_batch(batch),
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            trust_coefficient=self.trust_coefficient,
        )
