"""The plain ViT of timm, with hidden tokens dropped or masked.

Takes: the call of `encoders`. Gives: `[B, P + N, D]`. Guarantees: with nothing hidden, exactly timm's
`forward_features`; a dropped token is gone before the first block, so visible tokens cannot know of it, but for their
own positions, which are added before. With `embed` "visible" it is gone before the patch embedding, equal to rounding.
Images of another size than the model's get its position embedding resampled (DINO).
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from m3i_dsl.modules.encoders.masking import TokenMode, cover_tokens, grid_of, mask_token
from m3i_dsl.modules.encoders.packed import make_packable, pack, packable, unpack
from m3i_dsl.modules.positions import resampled, sincos_2d
from m3i_dsl.modules.tokens import chosen_positions, gather_tokens
from m3i_dsl.vocabulary.kinds import FeatureShape, Grid

Embed = Literal["all", "visible"]


class VitEncoder(nn.Module):
    """`positions` "sincos" replaces the position embedding by the fixed table, zero for prefix tokens. With `head` the
    features are what the model's own linear head makes of each token.
    """

    def __init__(
        self, model: VisionTransformer, shape: FeatureShape, *, masks: bool, sincos: bool, head: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.shape = shape
        self.head = head
        self.mask_token = mask_token(int(model.embed_dim), masks)
        if isinstance(model.patch_embed, PatchEmbed):
            model.patch_embed.strict_img_size = False  # the checker knows which sizes a recipe may ask for
        make_packable(model)
        if sincos:
            _fix_positions(model, shape)

    def forward(
        self,
        image: Tensor | tuple[Tensor, ...],
        hidden: Tensor | None = None,
        visible: int | None = None,
        tokens: TokenMode = "drop",
        taps: int = 0,
        isolate: Tensor | None = None,
        embed: Embed = "all",
    ) -> Tensor | tuple[Tensor, ...]:
        if isinstance(image, tuple):
            return self._packed(image)
        model = self.model
        if embed == "visible":
            if hidden is None or visible is None or tokens != "drop" or isolate is not None:
                raise ValueError("only the visible patches can be embedded where the others are dropped")
            return self._blocks(self._embed_visible(image, ~hidden, visible), taps, None)
        x = cast(Tensor, model.patch_embed(image))
        if tokens == "mask":
            x = cover_tokens(x, hidden, self.mask_token)
        x = self._placed(x, image)
        if hidden is not None and tokens == "drop":
            if visible is None or isolate is not None:
                raise ValueError("dropping tokens needs the count of visible ones, and no second image")
            x = gather_tokens(x, ~hidden, visible, self.shape.prefix)
        return self._blocks(x, taps, None if isolate is None else self._same_image(isolate))

    def _packed(self, images: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The features of batches of images of several sizes: one call of each block for all tokens."""
        model = self.model
        if not packable(model):
            raise ValueError("the blocks of this ViT do not take packed tokens")
        x, shapes = pack([self.positioned(image) for image in images])
        x = cast(Tensor, model.norm_pre(x))
        for block in model.blocks:
            x = cast(Tensor, block(x, shapes=shapes))
        return unpack(self._features(x), shapes)

    def positioned(self, image: Tensor) -> Tensor:
        """[B, P + L, D]: all patches of an image of any size, with positions and prefix tokens."""
        return self._placed(cast(Tensor, self.model.patch_embed(image)), image)

    def _placed(self, x: Tensor, image: Tensor) -> Tensor:
        """[B, P + L, D]: the patches x [B, L, D] of an image with positions and prefix tokens."""
        if (image.shape[-2], image.shape[-1]) == self.shape.image:
            return cast(Tensor, cast(Any, self.model)._pos_embed(x))
        return self._resized(x, grid_of(image, self.shape))

    def _blocks(self, x: Tensor, taps: int, mask: Tensor | None) -> Tensor | tuple[Tensor, Tensor]:
        model = self.model
        x = cast(Tensor, model.norm_pre(x))
        outputs: list[Tensor] = []
        for index, block in enumerate(model.blocks):
            x = cast(Tensor, block(x, attn_mask=mask))
            if index >= len(model.blocks) - taps:
                outputs.append(x)
        features = self._features(x)
        return (features, torch.stack(outputs, dim=1)) if taps else features

    def _features(self, x: Tensor) -> Tensor:
        """What the last block's tokens [..., D] become."""
        model: Any = self.model
        features = model.norm(x)
        return model.head(model.fc_norm(features)) if self.head else features

    def _embed_visible(self, image: Tensor, which: Tensor, count: int) -> Tensor:
        """[B, P + count, D]: what the first block is given, from the patches at which `which` bool [B, L] is True.

        A patch embedding of one convolution whose kernel is its stride is a linear map of each patch (as in
        timm.layers.PatchEmbed), so it is applied to the chosen patches only.
        """
        model: Any = self.model
        grid, stem = grid_of(image, self.shape), model.patch_embed
        if not isinstance(stem, PatchEmbed):
            raise ValueError(f"the patch embedding {type(stem).__name__} is not one map of each patch")
        chosen = chosen_positions(which, count)
        cells = image.unflatten(3, (grid.columns, -1)).unflatten(2, (grid.rows, -1)).permute(0, 2, 4, 1, 3, 5)
        image_index = torch.arange(len(image), device=image.device).unsqueeze(1)
        patches = cells[image_index, chosen // grid.columns, chosen % grid.columns].flatten(2)
        x = stem.norm(F.linear(patches, stem.proj.weight.flatten(1), stem.proj.bias))
        first = [token.expand(len(x), -1, -1) for token in (model.cls_token, model.reg_token) if token is not None]
        if model.pos_embed is not None:
            prefix, table = self._positions(grid)
            x = x + F.embedding(chosen, table)
            if len(prefix):
                first = [torch.cat(first, dim=1) + prefix]
        return cast(Tensor, model.pos_drop(torch.cat([*first, x], dim=1)))

    def _positions(self, grid: Grid) -> tuple[Tensor, Tensor]:
        """The position embedding of prefix tokens [P or 0, D], and that of the tokens of a grid, resampled to it."""
        model: Any = self.model
        own = self.shape.grid
        prefix, table = model.pos_embed[0].split([model.pos_embed.shape[1] - own.tokens, own.tokens])
        return prefix, table if grid == own else resampled(table, own, grid)

    def _resized(self, x: Tensor, grid: Grid) -> Tensor:
        """[B, P + N, D]: patches [B, N, D] of images of another `grid`, with positions and prefix tokens."""
        model: Any = self.model
        first = [token.expand(len(x), -1, -1) for token in (model.cls_token, model.reg_token) if token is not None]
        if model.pos_embed is not None:
            prefix, table = self._positions(grid)
            x = x + table
            if len(prefix):
                first = [torch.cat(first, dim=1) + prefix]
        return cast(Tensor, model.pos_drop(torch.cat([*first, x], dim=1)))

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
    table = sincos_2d(shape.grid, int(model.embed_dim), torch.float64)
    with torch.no_grad():
        embedding.zero_()
        embedding[0, -shape.grid.tokens :] = table.to(embedding.dtype)
    embedding.requires_grad_(False)
