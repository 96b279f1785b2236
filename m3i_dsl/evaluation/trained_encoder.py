"""A trained encoder for images of anybody.

Takes: an encoder of a run, and the view that it saw in training. Gives: a module from images in [0, 1] to tokens, and
one vector for each image. Guarantees: images are normalised as in training; evaluation mode, no gradient unless asked
for; the weights are those of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from m3i_dsl.evaluation.features import Pool, pool_tokens

if TYPE_CHECKING:
    from m3i_dsl.semantics.program import View
    from m3i_dsl.vocabulary.kinds import FeatureShape


class TrainedEncoder(nn.Module):
    """Images f32 [B, 3, H, W] in [0, 1] -> tokens [B, prefix + rows * columns, width].

    `image_size` is the (height, width) that it takes, `grid` (rows, columns); prefix tokens (class, registers) come
    first.
    """

    def __init__(self, encoder: nn.Module, shape: FeatureShape, view: View) -> None:
        from m3i_dsl.data.evaluation import normalization

        super().__init__()
        normalize = normalization(view)
        self.encoder = encoder
        self.image_size = view.size
        self.grid = shape.grid.rows, shape.grid.columns
        self.prefix = shape.prefix
        self.width = shape.width
        self.register_buffer("mean", torch.tensor(normalize.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(normalize.std).view(3, 1, 1), persistent=False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Raises ValueError for images of another shape."""
        height, width = self.image_size
        if images.dim() != 4 or tuple(images.shape[1:]) != (3, height, width):
            raise ValueError(
                f"the encoder takes images [B, 3, {height}, {width}], and these are {list(images.shape)}; "
                f"`prepared(pictures)` brings pictures of any size to it"
            )
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        return self.encoder((images.to(mean) - mean) / std)

    @torch.no_grad()
    def features(self, images: Tensor, *, pool: Pool = "mean", batch: int = 256) -> Tensor:
        """f32 [B, width] on the CPU: the mean of the grid tokens of each image, or its class token.

        Raises ValueError for images of another shape, EvaluationError for a class token that it does not have.
        """
        parts = [pool_tokens(self(part).float(), self.prefix, pool).cpu() for part in torch.split(images, batch)]
        return torch.cat(parts)

    def prepared(self, pictures: Sequence[Any]) -> Tensor:
        """f32 [B, 3, H, W] in [0, 1] of pictures of any size, as evaluation sees them: the largest centred part of the
        right aspect, resampled bicubically.

        `pictures` are PIL images or uint8 arrays [H, W, 3]. Raises ValueError for anything else.
        """
        from m3i_dsl.data.evaluation import centred
        from m3i_dsl.vocabulary.kinds import Picture

        height, width = self.image_size
        found: list[Tensor] = []
        for picture in pictures:
            pixels = np.asarray(picture.convert("RGB") if hasattr(picture, "convert") else picture)
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
                raise ValueError(f"a picture is a PIL image or uint8 [H, W, 3], not {pixels.dtype} {pixels.shape}")
            shown = centred(Picture(pixels, (pixels.shape[0], pixels.shape[1])), (height, width))
            found.append(torch.from_numpy(shown).permute(2, 0, 1).float().div_(255))
        return torch.stack(found) if found else torch.empty(0, 3, height, width)
