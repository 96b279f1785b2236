"""BEiT of timm: a plain ViT whose attention is biased by relative places, with mask tokens behind its patch embedding.

Takes: the call of `encoders`. Gives: `[B, 1 + L, D]`. Guarantees: with nothing hidden, exactly timm's
`forward_features`; taps are outputs of blocks. Hidden tokens are replaced and never dropped: a bias is of the whole
grid.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from timm.models.beit import Beit
from torch import Tensor, nn

from m3i_dsl.modules.encoders.masking import TokenMode, cover_tokens, mask_token, only_masking
from m3i_dsl.vocabulary.kinds import FeatureShape


class BeitEncoder(nn.Module):
    """BEiT and BEiT v2; the bias is of each block, or one that all share (unilm: beit/modeling_pretrain.py)."""

    def __init__(self, model: Beit, shape: FeatureShape, *, masks: bool) -> None:
        super().__init__()
        self.model = model
        self.shape = shape
        self.mask_token = mask_token(shape.width, masks)

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
        x = cover_tokens(model.patch_embed(image), hidden, self.mask_token)
        x = model.pos_drop(torch.cat([model.cls_token.expand(len(x), -1, -1), x], dim=1))
        bias = None if model.rel_pos_bias is None else model.rel_pos_bias()
        outputs: list[Tensor] = []
        for index, block in enumerate(model.blocks):
            x = block(x, shared_rel_pos_bias=bias)
            if index >= len(model.blocks) - taps:
                outputs.append(x)
        features = cast(Tensor, model.norm(x))
        return (features, torch.stack(outputs, dim=1)) if taps else features
