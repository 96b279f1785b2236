"""Any other timm model with a dense grid, ResNets among them: hidden patches are painted in the image.

Takes: the call of `encoders`. Gives: `[B, P + L, D]` of the model's own `forward_features`. Guarantees: with nothing
hidden, exactly timm's features; a hidden patch has one learned colour, whatever the image.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from m3i_dsl.modules.encoders.masking import TokenMode, cover_nchw, grid_of, mask_token, only_masking
from m3i_dsl.vocabulary.encoders.catalogue import Layout
from m3i_dsl.vocabulary.kinds import FeatureShape


class GenericEncoder(nn.Module):
    """`layout` is that of the features: tokens [B, P + L, D], or a map."""

    def __init__(self, model: nn.Module, shape: FeatureShape, *, layout: Layout, masks: bool) -> None:
        super().__init__()
        self.model = model
        self.shape = shape
        self.layout: Layout = layout
        self.mask_token = mask_token(3, masks)

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
        image = cover_nchw(image, hidden, grid_of(image, self.shape), self.mask_token)
        x = cast(Tensor, cast(Any, self.model).forward_features(image))
        match self.layout:
            case "tokens":
                features = x
            case "NHWC":
                features = x.flatten(1, 2)
            case "NCHW":
                features = x.flatten(2).transpose(1, 2)
        # Only the last output is known of an arbitrary model, so its depth is 1 and that output is the one tap.
        return (features, features.unsqueeze(1)) if taps else features
