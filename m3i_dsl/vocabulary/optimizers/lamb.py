"""`lamb`: Adam whose step on each matrix is proportional to the matrix."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds import Optimizer, WordError
from m3i_dsl.vocabulary.optimizers.parameter_groups import parameter_groups
from m3i_dsl.vocabulary.values import Number, Numbers, Rate
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Lamb(Optimizer):
    """Adam whose step on each matrix is scaled to the matrix's norm (You et al. 2020); DeiT III trains with it.

    u = m / (sqrt(v) + epsilon) + weight_decay * theta; theta <- theta - lr * |theta| / |u| * u, m and v bias-corrected.
    Only matrices are scaled and decayed. From timm; gradients are clipped by the recipe's `clip` alone.
    """

    name: ClassVar[str] = "lamb"

    lr: Rate = argument(doc="the peak learning rate, as such or `per` a batch size", above=0)
    betas: Numbers = argument(
        (0.9, 0.999), doc="decay of the first and the second moment", origin="timm", minimum=0, below=1
    )
    weight_decay: Number = argument(0.05, doc="decoupled weight decay", origin="DeiT-III", minimum=0)
    epsilon: Number = argument(1e-6, doc="added to the root of the second moment", origin="timm", above=0)

    def __post_init__(self) -> None:
        if len(self.betas) != 2:
            raise WordError(
                f"`betas` takes two numbers, not {len(self.betas)}", argument="betas", help="write `(0.9, 0.999)`"
            )

    def build(self, module: "nn.Module", batch: int) -> "torch.optim.Optimizer":
        from timm.optim.lamb import Lamb as TimmLamb

        groups = parameter_groups(module, lr=self.lr.at_batch(batch), weight_decay=self.weight_decay)
        for group in groups:
            group["always_adapt"] = group["role"] == "decayed"  # as in `lars`: the role decides, not the decay
        first, second = self.betas
        return TimmLamb(
            groups,
            lr=self.lr.at_batch(batch),
            betas=(first, second),
            eps=self.epsilon,
            weight_decay=self.weight_decay,
            max_grad_norm=None,  # timm's default of 1 would be a second, hidden clipping
        )
