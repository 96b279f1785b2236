"""`adamw`: Adam with decoupled weight decay."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds import Optimizer, WordError
from m3i_dsl.vocabulary.optimizers.parameter_groups import Decayed, all_on_fused_devices, parameter_groups
from m3i_dsl.vocabulary.values import Number, Numbers, Ramp, Rate
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay; the usual choice for transformers.

    theta <- theta - lr * (m / (sqrt(v) + epsilon) + weight_decay * theta), m and v bias-corrected (Loshchilov and
    Hutter 2019). Weight decay may be a ramp over all steps (DINO: `0.04 -> 0.4 cosine`). Biases, norms and whatever
    else has one dimension decay with `decayed: all` only (MoCo v3), tokens and positions also with `tensors` (MAE,
    DINO), mask tokens also with `masks`, the bias of attention with `biases` (BEiT); what a weighting trains never.
    """

    name: ClassVar[str] = "adamw"

    lr: Rate = argument(doc="the peak learning rate, as such or `per` a batch size", above=0)
    betas: Numbers = argument(
        (0.9, 0.95), doc="decay of the first and the second moment", origin="MAE", minimum=0, below=1
    )
    weight_decay: Ramp = argument(Ramp.constant(0.05), doc="decoupled weight decay", origin="MAE", minimum=0)
    epsilon: Number = argument(1e-8, doc="added to the root of the second moment", origin="torch", above=0)
    layer_decay: Number | None = argument(
        None, doc="factor on the learning rate from each block to the one below (BEiT)", above=0, maximum=1
    )
    decayed: Decayed = argument(
        "matrices",
        doc="what decays: matrices, mask tokens too, all tokens and positions too, or all parameters",
        origin="timm",
    )

    def __post_init__(self) -> None:
        if len(self.betas) != 2:
            raise WordError(
                f"`betas` takes two numbers, not {len(self.betas)}", argument="betas", help="write `(0.9, 0.95)`"
            )

    def build(self, module: "nn.Module", batch: int) -> "torch.optim.Optimizer":
        import torch

        groups = parameter_groups(
            module,
            lr=self.lr.at_batch(batch),
            weight_decay=self.weight_decay.start,
            layer_decay=self.layer_decay,
            decayed=self.decayed,
        )
        first, second = self.betas
        return torch.optim.AdamW(
            groups,
            lr=self.lr.at_batch(batch),
            betas=(first, second),
            eps=self.epsilon,
            weight_decay=self.weight_decay.start,
            fused=all_on_fused_devices(module),
        )

    def decay_ramp(self) -> Ramp | None:
        return None if self.weight_decay.shape == "constant" else self.weight_decay
