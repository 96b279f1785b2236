"""The plain ViT of timm, with hidden tokens dropped or masked.

Takes: the call of `encoders`. Gives: `[B, P + N, D]`. Guarantees: with nothing hidden, exactly timm's
`forward_features`; a dropped token is gone before the first block, so visible tokens cannot know of it, but for their
own positions, which are added before.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from m3i_dsl.modules.encoders.masking import TokenMode, mask_token
from m3i_dsl.modules.positions import sincos_2d
from m3i_dsl.modules.tokens import gather_tokens
from m3i_dsl.vocabulary.kinds import FeatureShape


class VitEncoder(nn.Module):
    """`positions` "sincos" replaces the position embedding by the fixed table, zero for prefix tokens."""

    def __init__(self, model: VisionTransformer, shape: FeatureShape, *, masks: bool, sincos: bool) -> None:
        super().__init__()
        self.model = model
        self.shape = shape
        self.mask_token = mask_token(shape.width, masks)
        if sincos:
            _fix_positions(model, shape)

    def forward(
        self,
        image: Tensor,
        hidden: Tensor | None = None,
        visible: int | None = None,
        tokens: TokenMode = "drop",
        taps: int = 0,
        isolate: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        model = self.model
        x = cast(Tensor, model.patch_embed(image))
        if hidden is not None and tokens == "mask":
            if self.mask_token is None:
                raise ValueError("this encoder was built without a mask token")
            x = torch.where(hidden.unsqueeze(-1), self.mask_token.to(x.dtype), x)
        x = cast(Tensor, cast(Any, model)._pos_embed(x))
        if hidden is not None and tokens == "drop":
            if visible is None or isolate is not None:
                raise ValueError("dropping tokens needs the count of visible ones, and no second image")
            x = gather_tokens(x, ~hidden, visible, self.shape.prefix)
        x = cast(Tensor, model.norm_pre(x))
        mask = None if isolate is None else self._same_image(isolate)
        outputs: list[Tensor] = []
        for index, block in enumerate(model.blocks):
            x = cast(Tensor, block(x, attn_mask=mask))
            if index >= len(model.blocks) - taps:
                outputs.append(x)
        features = cast(Tensor, model.norm(x))
        return (features, torch.stack(outputs, dim=1)) if taps else features

    def _same_image(self, isolate: Tensor) -> Tensor:
        """bool [B, 1, P + L, P + L]: grid tokens attend to those of their own image only, prefix tokens to everything.

        Grid tokens do not attend to prefix tokens, which have seen both images.
        """
        prefix = self.shape.prefix
        same = isolate.unsqueeze(1) == isolate.unsqueeze(2)
        if prefix:
            blind = torch.zeros_like(same[:, :, :1]).expand(-1, -1, prefix)
            same = torch.cat([blind, same], dim=2)
            same = torch.cat([torch.ones_like(same[:, :1]).expand(-1, prefix, -1), same], dim=1)
        return same.unsqueeze(1)


def _fix_positions(model: VisionTransformer, shape: FeatureShape) -> None:
    embedding = model.pos_embed
    if embedding is None:
        raise ValueError("this ViT adds no position embedding that could be fixed")
    table = sincos_2d(shape.grid, shape.width, torch.float64)
    with torch.no_grad():
        embedding.zero_()
        embedding[0, -shape.grid.tokens :] = table.to(embedding.dtype)
    embedding.requires_grad_(False)
