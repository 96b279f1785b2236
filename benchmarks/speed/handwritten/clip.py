"""CLIP (Radford et al. 2021) with a bidirectional text transformer whose tokens are averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import NORM, Batch, Counterpart, Handwritten, l2, pooled, vit
from benchmarks.speed.size import Size

VOCABULARY = 259
"""Bytes, begin, end and padding."""


class TextEncoder(nn.Module):
    """[B, T] -> [B, width]; padding (0) is not attended to."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(size.context, size.text_width))
        self.embedding = nn.Embedding(VOCABULARY, size.text_width)
        self.blocks = nn.ModuleList(
            Block(size.text_width, size.text_heads, qkv_bias=True, norm_layer=NORM) for _ in range(size.text_layers)
        )
        self.norm = NORM(size.text_width)

    def forward(self, tokens: Tensor) -> Tensor:
        valid = tokens != 0
        mask = valid[:, None, None, :].expand(-1, -1, tokens.shape[1], -1)
        x = self.embedding(tokens) + self.positions
        for block in self.blocks:
            x = block(x, attn_mask=mask)
        weights = valid.unsqueeze(-1).to(x.dtype)
        return (self.norm(x) * weights).sum(dim=1) / weights.sum(dim=1)


class CLIP(Handwritten):
    """Both directions of the cross-entropy over the batch, one learned temperature."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.vit = vit(size)
        self.text = TextEncoder(size)
        self.image_projection = nn.Linear(size.width, size.projection)
        self.text_projection = nn.Linear(size.text_width, size.projection, bias=False)
        self.log_scale = nn.Parameter(torch.tensor([-math.log(0.07)]))

    def forward(self, batch: Batch) -> Tensor:
        image = l2(self.image_projection(pooled(self.vit, batch["view1"])))
        text = l2(self.text_projection(self.text(batch["tokens"])))
        logits = self.log_scale.exp().clamp(max=100) * image @ text.T
        labels = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart]:
        return [
            (self.vit, other.get_submodule("encoders.image")),
            (self.text, other.get_submodule("encoders.words")),
            (self.image_projection, other.get_submodule("predictors.clip_caption")),
            (self.text_projection, other.get_submodule("representations.clip_caption")),
            (self.log_scale, other.get_parameter("likelihoods.clip_caption.temperature.log_inverse")),
        ]
