"""SiameseIM (Tao et al. 2023), with its UniGrad term row by row instead of through a matrix of all pairs of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import (
    NORM,
    Batch,
    Counterpart,
    Decoder,
    Handwritten,
    average_of,
    positions_of,
    visible_tokens,
    vit,
)
from benchmarks.speed.size import Size


class SiameseIM(Handwritten):
    """The dropped view2 predicts the features of view1."""

    momentum = 0.995

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.hidden, self.side = hidden, size.side
        self.vit = vit(size)
        self.projector = nn.Sequential(
            nn.Linear(size.width, size.width),
            Block(size.width, size.heads, qkv_bias=True, norm_layer=NORM),
            NORM(size.width),
        )
        self.decoder = Decoder(size, width=size.width, layers=2, heads=size.heads, output=size.width, relative=True)
        self.average, self.average_projector = average_of(self.vit, self.projector)

    def averaged(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        return ((self.average, self.vit), (self.average_projector, self.projector))

    def forward(self, batch: Batch) -> Tensor:
        average: Any = self.average
        seen, _ = positions_of(batch["hidden"], self.hidden)
        tokens = self.projector(visible_tokens(self.vit, batch["view2"], seen))
        queries = self.decoder.elsewhere(batch["geometry2"], batch["geometry1"], self.side)
        prediction = self.decoder(tokens, seen, queries)
        with torch.no_grad():
            features = self.average_projector(average.forward_features(batch["view1"]))[:, 1:]
            target = F.layer_norm(features, features.shape[-1:], eps=1e-6)
        zh, t = prediction.flatten(0, 1), target.flatten(0, 1)
        moment = t.T @ t / len(t)
        return F.mse_loss(prediction, target) + 0.02 * ((zh @ moment) * zh).sum(dim=1).mean() / zh.shape[1]

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        return [
            (self.vit, other.get_submodule("encoders.image")),
            (self.average, other.get_submodule("encoders.momentum")),
            (self.projector, other.get_submodule("projectors.image")),
            (self.average_projector, other.get_submodule("projectors.momentum")),
            (self.decoder, other.get_submodule("predictors.siamese_im_inter")),
        ]
