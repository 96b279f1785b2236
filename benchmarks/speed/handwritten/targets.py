"""K targets of one mixed input, as benchmarks/speed/recipes has them in `targets.py`, sharing encoder and average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed.handwritten.m3i import swapped
from benchmarks.speed.handwritten.model import (
    Batch,
    Counterpart,
    Decoder,
    Handwritten,
    average_of,
    info_nce,
    l2,
    positions_of,
    take,
    vit,
)
from benchmarks.speed.size import Size


class Targets(Handwritten):
    """The first `count` of: dense features, global feature, instance among the batch, dense features with Huber."""

    momentum = 0.996

    def __init__(self, size: Size, hidden: int, *, count: int) -> None:
        super().__init__()
        self.hidden, self.side, self.patch, self.count = hidden, size.side, size.patch, count
        self.vit = vit(size)

        def decoder() -> nn.Module:
            return Decoder(size, width=size.width, layers=1, heads=size.heads, output=size.width)

        def mlp() -> nn.Module:
            wide = 4 * size.width
            return nn.Sequential(nn.Linear(size.width, wide), nn.GELU(), nn.Linear(wide, size.width))

        self.predictors = nn.ModuleList(make() for make in (decoder, mlp, mlp, decoder)[:count])
        (self.average,) = average_of(self.vit)

    def averaged(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        return ((self.average, self.vit),)

    def forward(self, batch: Batch) -> Tensor:
        encoder: Any = self.vit
        average: Any = self.average
        image, hidden = batch["view1"], batch["hidden"]
        cells = hidden.unflatten(1, (self.side, self.side))[:, None]
        pixels = cells.repeat_interleave(self.patch, dim=2).repeat_interleave(self.patch, dim=3)
        z = encoder.forward_features(torch.where(pixels, swapped(image), image))
        own, _ = positions_of(hidden, self.hidden)
        tokens = torch.cat([z[:, :1], take(z[:, 1:], own)], dim=1)
        mean = tokens[:, 1:].mean(dim=1)
        with torch.no_grad():
            features = average.forward_features(image)[:, 1:]
            dense = F.layer_norm(features, features.shape[-1:], eps=1e-6)
            whole = l2(features.mean(dim=1))
        total: Tensor | None = None
        for index, predictor in enumerate(self.predictors):
            if index in (0, 3):
                queries = predictor.everywhere()  # type: ignore[operator]  # a Decoder
                prediction = predictor(tokens, own, queries)
                loss = F.mse_loss(prediction, dense) if index == 0 else F.smooth_l1_loss(prediction, dense, beta=2.0)
            else:
                prediction = l2(predictor(mean))
                loss = F.mse_loss(prediction, whole) if index == 1 else info_nce(prediction, whole, 0.2)
            total = loss if total is None else total + loss
        assert total is not None
        return total

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        from benchmarks.speed.targets import NAMES

        parts: list[Counterpart] = [
            (self.vit, other.get_submodule("encoders.image")),
            (self.average, other.get_submodule("encoders.momentum")),
        ]
        for name, predictor in zip(NAMES, self.predictors, strict=False):
            parts.append((predictor, other.get_submodule(f"predictors.targets_{name}")))
        return parts
