"""Decoders that are asked for positions: mask tokens attend to the encoder's tokens.

Takes: the call of `predictors`. Gives: `[B, wanted, E]`, one vector for each wanted target position in ascending order.
Guarantees: an image's prediction depends on its own tokens only (with batch norm, also on the batch); positions enter
as fixed sines and cosines, computed in the dtype of the parameters.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from m3i_dsl.modules.blocks import Block, Norm, initialise, norm
from m3i_dsl.modules.positions import relative_embedding, sincos_2d
from m3i_dsl.modules.tokens import chosen_positions, gather_tokens
from m3i_dsl.vocabulary.kinds import Grid, PredictorShape

Position = Literal["absolute", "relative"]


class _Context(nn.Module):
    """The encoder's tokens in the decoder: a linear layer, if wanted, plus their positions (none for prefix tokens).

    With two sources, own tokens and those of the other image also get one of two learned vectors.
    """

    def __init__(self, shape: PredictorShape, width: int, *, embed: bool = True) -> None:
        super().__init__()
        self.embed = nn.Linear(shape.input_width, width) if embed else nn.Identity()
        self.source = nn.Parameter(torch.zeros(2, width)) if shape.sources == 2 else None
        if self.source is not None:
            nn.init.normal_(self.source, std=0.02)

    def forward(
        self, features: Tensor, hidden: Tensor | None, source: Tensor | None, grid: Grid, prefix: int
    ) -> Tensor:
        x = self.embed(features)
        dtype = (
            self.embed.weight.dtype
            if isinstance(self.embed, nn.Linear)
            else torch.promote_types(x.dtype, torch.float32)
        )
        position = sincos_2d(grid, x.shape[-1], dtype, x.device).expand(len(x), -1, -1)
        if self.source is not None:
            assert source is not None, "a decoder for two sources is told which tokens are the own ones"
            position = position + torch.where(source.unsqueeze(-1), self.source[0], self.source[1])
        if hidden is not None:
            position = gather_tokens(position, ~hidden, x.shape[1] - prefix)
        return torch.cat([x[:, :prefix], x[:, prefix:] + position], dim=1)


class DecoderHead(nn.Module):
    """Full self-attention over context tokens and mask tokens, perhaps a norm, and a linear layer (MAE, SiameseIM).

    With `absolute` a mask token has the position of its patch in the target grid; with `relative` the position and size
    of its patch measured in the input view, through a linear layer.
    """

    def __init__(
        self,
        shape: PredictorShape,
        *,
        layers: int,
        heads: int,
        width: int,
        position: Position,
        norm_kind: Norm,
        embed: bool = True,
        final_norm: bool = True,
    ) -> None:
        super().__init__()
        self.width = width
        self.context = _Context(shape, width, embed=embed)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.relative = nn.Linear(2 * width, width) if position == "relative" else None
        self.blocks = nn.ModuleList(Block(width, heads, norm_kind) for _ in range(layers))
        self.norm = norm(norm_kind, width) if final_norm else nn.Identity()
        self.out = nn.Linear(width, shape.output_width)
        initialise(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self,
        features: Tensor,
        hidden: Tensor | None = None,
        wanted: Tensor | None = None,
        source: Tensor | None = None,
        geometry_x: Tensor | None = None,
        geometry_y: Tensor | None = None,
        *,
        prefix: int,
        rows: int,
        columns: int,
        target_rows: int,
        target_columns: int,
        count: int,
        needed: bool = False,
        shared: bool = False,
    ) -> Tensor:
        """`needed`: the last block computes the wanted positions only. `shared`: the first block projects the mask
        tokens once for all samples, where there are more of them than positions. Both are equal to rounding, with layer
        norm only; `shared` without geometry. Raises ValueError for `shared` with geometry.
        """
        if shared and geometry_x is not None:
            raise ValueError("with geometry each sample's positions are its own: nothing of them is shared")
        grid, target_grid = Grid(rows, columns), Grid(target_rows, target_columns)
        context = self.context(features, hidden, source, grid, prefix)
        index = None
        if shared and len(context) * count > target_grid.tokens:
            queries = self.mask_token + self._positions(1, grid, target_grid)
            x, index = _rows(context, queries.squeeze(0), wanted, count)
        else:
            queries = self.mask_token + self._positions(len(context), grid, target_grid, geometry_x, geometry_y)
            if wanted is not None:
                queries = gather_tokens(queries, wanted, count)
            x = torch.cat([context, queries], dim=1)
        start, last = context.shape[1], len(self.blocks) - 1
        for number, block in enumerate(self.blocks):
            x = cast(Block, block)(x, start=start if needed and number == last else 0, index=index)
            index = None
        x = self.norm(x)
        return self.out(x if needed else x[:, start:])

    def _positions(
        self,
        batch: int,
        grid: Grid,
        target_grid: Grid,
        geometry_x: Tensor | None = None,
        geometry_y: Tensor | None = None,
    ) -> Tensor:
        """[batch, L_y, width]: where the mask tokens are."""
        like = self.mask_token
        if self.relative is None:
            return sincos_2d(target_grid, self.width, like.dtype, like.device).expand(batch, -1, -1)
        rows = like.expand(batch, -1)
        embedding = relative_embedding(geometry_x, geometry_y, grid, target_grid, self.width, rows)
        return self.relative(embedding.to(like.dtype))


def _rows(context: Tensor, queries: Tensor, wanted: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """[B C + L, width], the tokens of `context` [B, C, width] and L mask tokens `queries` [L, width]; and i64
    [B, C + count], where in these rows each sample's tokens are.
    """
    batch, length = context.shape[0], context.shape[1]
    own = torch.arange(batch * length, device=context.device).unflatten(0, (batch, length))
    if wanted is None:
        asked = torch.arange(len(queries), device=context.device).expand(batch, -1)
    else:
        asked = chosen_positions(wanted, count)
    return torch.cat([context.flatten(0, 1), queries]), torch.cat([own, batch * length + asked], dim=1)


class PromptingDecoderHead(nn.Module):
    """Mask tokens at the hidden positions attend to everything; the encoder's tokens stay as they are (MILAN).

    The prediction at a visible position is the linear layer on the encoder's token itself.
    """

    def __init__(self, shape: PredictorShape, *, layers: int, heads: int, width: int, norm_kind: Norm) -> None:
        super().__init__()
        self.width = width
        self.context = _Context(shape, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(Block(width, heads, norm_kind) for _ in range(layers))
        self.norm = norm(norm_kind, width)
        self.out = nn.Linear(width, shape.output_width)
        initialise(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self,
        features: Tensor,
        hidden: Tensor | None = None,
        wanted: Tensor | None = None,
        source: Tensor | None = None,
        *_: Tensor | None,
        prefix: int,
        rows: int,
        columns: int,
        count: int,
        prefixed: bool = False,
        **__: int,
    ) -> Tensor:
        """With `prefixed` class and register tokens come first, as the encoder made them."""
        grid = Grid(rows, columns)
        context = self.context(features, hidden, source, grid, prefix)
        x = context[:, prefix:]
        if hidden is not None:
            visible = x.shape[1]
            holes = hidden.shape[1] - visible
            table = sincos_2d(grid, self.width, self.mask_token.dtype, x.device)
            queries = self.mask_token + gather_tokens(table.expand(len(x), -1, -1), hidden, holes)
            for block in self.blocks:
                queries = cast(Block, block).update(queries, context)
            order = torch.cat([chosen_positions(~hidden, visible), chosen_positions(hidden, holes)], dim=1)
            place = torch.argsort(order, dim=1).unsqueeze(-1).expand(-1, -1, self.width)
            x = torch.gather(torch.cat([x, queries], dim=1), 1, place)
        if wanted is not None:
            x = gather_tokens(x, wanted, count)
        if prefixed:
            x = torch.cat([context[:, :prefix], x], dim=1)
        return self.out(self.norm(x))
