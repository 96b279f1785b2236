"""`mixer`: an encoder without attention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import EncoderContext, FeatureShape, Grid, ImageEncoder, Predictor, WordError
from m3i_dsl.vocabulary.limits import MOST_LAYERS, TINY_WIDTH, Limits
from m3i_dsl.vocabulary.values import Count, Pixels
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Mixer(ImageEncoder):
    """Perceptrons over the tokens and over the channels in turn (MLP-Mixer, Tolstikhin et al. 2021).

    Perceptrons over tokens need each of them, so that hidden ones are replaced by a learned token.
    """

    name = "mixer"

    image: Pixels = argument(doc="height and width of its images", minimum=1)
    patch: Pixels = argument(8, doc="height and width of a patch", minimum=1)
    width: Count = argument(64, doc="channels", minimum=1, tiny=TINY_WIDTH)
    depth: Count = argument(4, doc="blocks", minimum=1, maximum=MOST_LAYERS, tiny=2)
    projector: Predictor | None = argument(None, doc="what the features go through before they are compared")

    def shape(self) -> FeatureShape:
        if self.image % self.patch:
            raise WordError(
                f"an image of {self.image}px is no whole number of patches of {self.patch}px", argument="patch"
            )
        side = self.image // self.patch
        return FeatureShape(self.width, Grid(side, side), 0, self.depth, self.patch, (self.image, self.image))

    def tiny_image(self, side: int) -> int:
        return self.patch * min(side, self.shape().grid.rows)

    def shrunk(self, limits: Limits) -> Mixer:
        return replace(self.with_tiny_arguments(limits), image=limits.image(self.image))

    def drops_tokens(self) -> bool:
        return False

    def build(self, context: EncoderContext) -> nn.Module:
        return mixer(self.shape(), mask_token=context.mask_token)


def mixer(shape: FeatureShape, *, mask_token: bool) -> nn.Module:
    """The module; in a function, so that torch is imported when a module is wanted and not before."""
    import torch
    from torch import Tensor, nn

    width, tokens = shape.width, shape.grid.tokens

    def perceptron(channels: int, hidden: int) -> nn.Module:
        return nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token_norm, self.channel_norm = nn.LayerNorm(width), nn.LayerNorm(width)
            self.over_tokens = perceptron(tokens, max(1, width // 2))
            self.over_channels = perceptron(width, 4 * width)

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.over_tokens(self.token_norm(x).transpose(1, 2)).transpose(1, 2)
            return x + self.over_channels(self.channel_norm(x))

    class MixerModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, width, shape.stride, shape.stride)
            self.mask_token = nn.Parameter(torch.zeros(width)) if mask_token else None
            self.blocks = nn.ModuleList(Block() for _ in range(shape.depth))
            self.norm = nn.LayerNorm(width)

        def forward(
            self,
            image: Tensor,
            hidden: Tensor | None = None,
            visible: int | None = None,
            tokens: str = "mask",
            taps: int = 0,
            isolate: Tensor | None = None,
        ) -> Tensor | tuple[Tensor, Tensor]:
            """`image` [B, 3, H, W], `hidden` bool [B, L] -> [B, L, D]; with `taps` K > 0 also [B, K, L, D]."""
            x = self.embed(image).flatten(2).transpose(1, 2)
            if hidden is not None:
                assert self.mask_token is not None
                x = torch.where(hidden.unsqueeze(-1), self.mask_token.to(x.dtype), x)
            tapped: list[Tensor] = []
            for block in self.blocks:
                x = block(x)
                tapped.append(x)
            x = self.norm(x)
            return (x, torch.stack(tapped[-taps:], dim=1)) if taps else x

    return MixerModel()
