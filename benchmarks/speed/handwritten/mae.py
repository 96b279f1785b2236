"""MAE (He et al. 2022): as facebookresearch/mae, but the tokens stay in the order visible, hidden, so that the decoder
sorts nothing back and its last layers see the hidden tokens alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import (
    Batch,
    Counterpart,
    Decoder,
    Handwritten,
    patchify,
    positions_of,
    take,
    visible_tokens,
    vit,
)
from benchmarks.speed.size import Size


class MAE(Handwritten):
    """`hidden` tokens of each image are dropped and predicted."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.patch, self.hidden = size.patch, hidden
        self.vit = vit(size)
        self.decoder = Decoder(
            size,
            width=size.decoder_width,
            layers=size.decoder_layers,
            heads=size.decoder_heads,
            output=3 * size.patch**2,
        )

    def forward(self, batch: Batch) -> Tensor:
        seen, asked = positions_of(batch["hidden"], self.hidden)
        tokens = visible_tokens(self.vit, batch["view1"], seen)
        prediction = self.decoder(tokens, seen, self.decoder.at(asked))
        target = take(patchify(batch["view1"], self.patch), asked)
        variance, mean = torch.var_mean(target, dim=-1, keepdim=True)
        return F.mse_loss(prediction, (target - mean) / (variance + 1e-6).sqrt())

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        predictor = other.get_submodule("predictors.mae_pixels")
        return [(self.vit, other.get_submodule("encoders.image")), (self.decoder, predictor)]
