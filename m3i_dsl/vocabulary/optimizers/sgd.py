"""`sgd`: stochastic gradient descent with momentum."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds import Optimizer, WordError
from m3i_dsl.vocabulary.optimizers.parameter_groups import Decayed, all_on_fused_devices, parameter_groups
from m3i_dsl.vocabulary.values import Number, Rate
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Sgd(Optimizer):
    """Stochastic gradient descent with momentum.

    v <- momentum * v + g + weight_decay * theta; theta <- theta - lr * v. MoCo and DenseCL decay all
    parameters: `decayed: all`.
    """

    name: ClassVar[str] = "sgd"

    lr: Rate = argument(doc="the peak learning rate, as such or `per` a batch size", above=0)
    momentum: Number = argument(0.9, doc="decay of the running gradient", origin="MoCo", minimum=0, below=1)
    weight_decay: Number = argument(1e-4, doc="added to the gradient, times the weight", origin="MoCo", minimum=0)
    nesterov: bool = argument(False, doc="look one step ahead", origin="MoCo")
    decayed: Decayed = argument(
        "matrices",
        doc="what decays: matrices, mask tokens too, all tokens and positions too, or all parameters",
        origin="timm",
    )

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum == 0:
            raise WordError("`nesterov` needs a momentum above 0", argument="nesterov", help="add `momentum: 0.9`")

    def build(self, module: "nn.Module", batch: int) -> "torch.optim.Optimizer":
        import torch

        return torch.optim.SGD(
            parameter_groups(module, lr=self.lr.at_batch(batch), weight_decay=self.weight_decay, decayed=self.decayed),
            lr=self.lr.at_batch(batch),
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            # torch has a fused SGD for whole parameters only, not for those that FSDP spreads over processes.
            fused=all_on_fused_devices(module) and not any(hasattr(p, "full_tensor") for p in module.parameters()),
        )
