"""Swin, SwinV2 and ConvNeXt of timm, with mask tokens behind the stem (SimMIM).

Takes: the call of `encoders`. Gives: `[B, L, D]`, the last stage flattened row-major. Guarantees: with nothing hidden,
exactly timm's `forward_features`; taps are outputs of the last stage's blocks, which share the final grid.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from timm.models.convnext import ConvNeXt
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from torch import Tensor, nn

from m3i_dsl.modules.encoders.masking import TokenMode, cover_nchw, cover_nhwc, grid_of, mask_token, only_masking
from m3i_dsl.vocabulary.kinds import FeatureShape


class SwinEncoder(nn.Module):
    """Swin and SwinV2; maps are [B, H, W, D]."""

    def __init__(self, model: SwinTransformer | SwinTransformerV2, shape: FeatureShape, *, masks: bool) -> None:
        super().__init__()
        self.model = model
        self.shape = shape
        self.mask_token = mask_token(int(cast(Any, model).embed_dim), masks)

    def forward(
        self,
        image: Tensor,
        hidden: Tensor | None = None,
        visible: int | None = None,
        tokens: TokenMode = "mask",
        taps: int = 0,
        isolate: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        only_masking(hidden, tokens, isolate)
        model = cast(Any, self.model)
        x = cover_nhwc(model.patch_embed(image), hidden, grid_of(image, self.shape), self.mask_token)
        for stage in model.layers[:-1]:
            x = stage(x)
        x, outputs = _last_stage(model.layers[-1], x, taps)
        features = cast(Tensor, model.norm(x)).flatten(1, 2)
        return (features, torch.stack([output.flatten(1, 2) for output in outputs], dim=1)) if taps else features


class ConvNextEncoder(nn.Module):
    """ConvNeXt and ConvNeXt V2; maps are [B, D, H, W]."""

    def __init__(self, model: ConvNeXt, shape: FeatureShape, *, masks: bool) -> None:
        super().__init__()
        self.model = model
        self.shape = shape
        self.mask_token = mask_token(int(cast(Any, model).feature_info[0]["num_chs"]), masks)

    def forward(
        self,
        image: Tensor,
        hidden: Tensor | None = None,
        visible: int | None = None,
        tokens: TokenMode = "mask",
        taps: int = 0,
        isolate: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        only_masking(hidden, tokens, isolate)
        model = cast(Any, self.model)
        x = cover_nchw(model.stem(image), hidden, grid_of(image, self.shape), self.mask_token)
        for stage in model.stages[:-1]:
            x = stage(x)
        x, outputs = _last_stage(model.stages[-1], x, taps)
        features = _tokens(model.norm_pre(x))
        return (features, torch.stack([_tokens(output) for output in outputs], dim=1)) if taps else features


def _last_stage(stage: Any, x: Tensor, taps: int) -> tuple[Tensor, list[Tensor]]:
    """The stage block by block: its output, and those of its last `taps` blocks."""
    x = stage.downsample(x)
    outputs: list[Tensor] = []
    for index, block in enumerate(stage.blocks):
        x = block(x)
        if index >= len(stage.blocks) - taps:
            outputs.append(x)
    return x, outputs


def _tokens(x_BDHW: Tensor) -> Tensor:
    return x_BDHW.flatten(2).transpose(1, 2)
