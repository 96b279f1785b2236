"""M3I (Su et al. 2023): two images mixed into one input, encoded once for all targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed.handwritten.clip import TextEncoder
from benchmarks.speed.handwritten.model import (
    Batch,
    Counterpart,
    Decoder,
    Handwritten,
    average_of,
    l2,
    positions_of,
    take,
    vit,
)
from benchmarks.speed.size import Size


class M3I(Handwritten):
    """Row n of the batch is mixed with row n ^ 1. `text` takes captions instead of categories."""

    momentum = 0.996

    def __init__(self, size: Size, hidden: int, *, text: bool = False) -> None:
        super().__init__()
        self.hidden, self.side, self.patch = hidden, size.side, size.patch
        self.vit = vit(size)
        self.intra, self.inter = (
            Decoder(size, width=size.width, layers=2, heads=size.heads, output=size.width, relative=relative)
            for relative in (False, True)
        )
        output = size.text_width if text else size.width
        self.pooled = nn.Sequential(nn.Linear(size.width, 4 * size.width), nn.GELU(), nn.Linear(4 * size.width, output))
        if text:
            self.text = TextEncoder(size)
            self.text_projection = nn.Linear(size.text_width, size.text_width, bias=False)
            self.log_scale = nn.Parameter(torch.tensor([-math.log(0.07)]))
        else:
            self.head = nn.Linear(size.width, 10)
        self.spreads = nn.Parameter(torch.zeros(3))
        (self.average,) = average_of(self.vit)

    def averaged(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        return ((self.average, self.vit),)

    def forward(self, batch: Batch) -> Tensor:
        encoder: Any = self.vit
        first, hidden = batch["view1"], batch["hidden"]
        cells = hidden.unflatten(1, (self.side, self.side))[:, None]
        pixels = cells.repeat_interleave(self.patch, dim=2).repeat_interleave(self.patch, dim=3)
        z = encoder.forward_features(torch.where(pixels, swapped(first), first))
        own, others = positions_of(hidden, self.hidden)
        tokens = [torch.cat([z[:, :1], take(z[:, 1:], index)], dim=1) for index in (own, others)]
        intra = self.intra(tokens[0], own, self.intra.everywhere())
        queries = self.inter.elsewhere(swapped(batch["geometry1"]), swapped(batch["geometry2"]), self.side)
        inter = self.inter(tokens[1], others, queries)
        losses = [
            F.mse_loss(intra, self._features(first)),
            F.mse_loss(inter, swapped(self._features(batch["view2"]))),
            self._contrast([self.pooled(own_tokens[:, 1:].mean(dim=1)) for own_tokens in tokens], batch),
        ]
        s = self.spreads.clamp(-4, 4)
        halves = torch.tensor([0.5, 0.5, 1.0], dtype=s.dtype, device=s.device)
        return (halves * (-s).exp() * torch.stack(losses) + s / 2).sum()

    @torch.no_grad()
    def _features(self, image: Tensor) -> Tensor:
        average: Any = self.average
        features = average.forward_features(image)[:, 1:]
        return F.layer_norm(features, features.shape[-1:], eps=1e-6)

    def _contrast(self, predictions: Sequence[Tensor], batch: Batch) -> Tensor:
        """The mean over the two images of the mix."""
        if "tokens" not in batch:
            own, other = (self.head(prediction) for prediction in predictions)
            labels = batch["labels"]
            return (F.cross_entropy(own, labels) + F.cross_entropy(other, swapped(labels))) / 2
        text = l2(self.text_projection(self.text(batch["tokens"])))
        rows = torch.arange(len(text), device=text.device)
        scale = self.log_scale.exp().clamp(max=100)
        logits = [scale * l2(prediction) @ text.T for prediction in predictions]
        return (F.cross_entropy(logits[0], rows) + F.cross_entropy(logits[1], swapped(rows))) / 2

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        text = hasattr(self, "text")
        name, last = ("m3i_text", "caption") if text else ("m3i", "category")
        shared: list[Counterpart] = [
            (self.vit, other.get_submodule("encoders.image")),
            (self.average, other.get_submodule("encoders.momentum")),
            (self.intra, other.get_submodule(f"predictors.{name}_intra")),
            (self.inter, other.get_submodule(f"predictors.{name}_inter")),
            (self.pooled, other.get_submodule(f"predictors.{name}_{last}")),
            (self.spreads, other.get_parameter(f"weightings.{name}.s")),
        ]
        if not text:
            return [*shared, (self.head, other.get_submodule("representations.m3i_category"))]
        temperature = other.get_parameter("likelihoods.m3i_text_caption.temperature.log_inverse")
        return [
            *shared,
            (self.text, other.get_submodule("encoders.words")),
            (self.text_projection, other.get_submodule("representations.m3i_text_caption")),
            (self.log_scale, temperature),
        ]


def swapped(x: Tensor) -> Tensor:
    """Rows 2k and 2k + 1 exchanged."""
    return x.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
