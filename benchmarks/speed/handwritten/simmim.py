"""SimMIM (Xie et al. 2022): mask tokens in the encoder, a linear head, absolute error on hidden pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import Batch, Counterpart, Handwritten, patchify, positions_of, take, vit
from benchmarks.speed.size import Size


class SimMIM(Handwritten):
    """The head sees hidden tokens alone."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.patch, self.hidden = size.patch, hidden
        self.vit = vit(size)
        self.mask_token = nn.Parameter(torch.zeros(size.width))
        self.head = nn.Linear(size.width, 3 * size.patch**2)

    def forward(self, batch: Batch) -> Tensor:
        encoder: Any = self.vit
        x = encoder.patch_embed(batch["view1"])
        x = torch.where(batch["hidden"].unsqueeze(-1), self.mask_token.to(x.dtype), x)
        x = encoder.norm(encoder.blocks(encoder.norm_pre(encoder._pos_embed(x))))
        _, asked = positions_of(batch["hidden"], self.hidden)
        target = take(patchify(batch["view1"], self.patch), asked)
        return F.l1_loss(self.head(take(x[:, 1:], asked)), target)

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        return [
            (self.mask_token, other.get_parameter("encoders.image.mask_token")),
            (self.vit, other.get_submodule("encoders.image.model")),
            (self.head, other.get_submodule("predictors.simmim_pixels")),
        ]
