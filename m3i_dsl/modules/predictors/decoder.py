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
from m3i_dsl.vocabulary.kinds import PredictorShape

Position = Literal["absolute", "relative"]


class _Context(nn.Module):
    """The encoder's tokens in the decoder: a linear layer, plus their positions (none for prefix tokens).

    With two sources, own tokens and those of the other image also get one of two learned vectors.
    """

    def __init__(self, shape: PredictorShape, width: int) -> None:
        super().__init__()
        self.grid = shape.input_grid
        self.prefix = shape.prefix
        self.embed = nn.Linear(shape.input_width, width)
        self.source = nn.Parameter(torch.zeros(2, width)) if shape.sources == 2 else None
        if self.source is not None:
            nn.init.normal_(self.source, std=0.02)

    def forward(self, features: Tensor, hidden: Tensor | None, source: Tensor | None) -> Tensor:
        x = self.embed(features)
        position = sincos_2d(self.grid, x.shape[-1], self.embed.weight.dtype, x.device).expand(len(x), -1, -1)
        if self.source is not None:
            assert source is not None, "a decoder for two sources is told which tokens are the own ones"
            position = position + torch.where(source.unsqueeze(-1), self.source[0], self.source[1])
        if hidden is not None:
            position = gather_tokens(position, ~hidden, x.shape[1] - self.prefix)
        return torch.cat([x[:, : self.prefix], x[:, self.prefix :] + position], dim=1)


class Decoder(nn.Module):
    """Full self-attention over context tokens and mask tokens, a final norm and a linear layer (MAE, SiameseIM).

    With `absolute` a mask token has the position of its patch in the target grid; with `relative` the position and size
    of its patch measured in the input view, through a linear layer.
    """

    def __init__(
        self, shape: PredictorShape, *, layers: int, heads: int, width: int, position: Position, norm_kind: Norm
    ) -> None:
        super().__init__()
        assert shape.target_grid is not None, "checked by the word"
        self.shape = shape
        self.target_grid = shape.target_grid
        self.width = width
        self.context = _Context(shape, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.relative = nn.Linear(2 * width, width) if position == "relative" else None
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
        geometry_x: Tensor | None = None,
        geometry_y: Tensor | None = None,
        *,
        needed: bool = False,
        shared: bool = False,
    ) -> Tensor:
        """`needed`: the last block computes the wanted positions only. `shared`: the first block projects the mask
        tokens once for all samples, where there are more of them than positions. Both are equal to rounding, with layer
        norm only; `shared` without geometry. Raises ValueError for `shared` with geometry.
        """
        if shared and geometry_x is not None:
            raise ValueError("with geometry each sample's positions are its own: nothing of them is shared")
        context = self.context(features, hidden, source)
        index = None
        if shared and len(context) * self.shape.wanted > self.target_grid.tokens:
            x, index = self._rows(context, wanted)
        else:
            queries = self.mask_token + self._query_positions(len(context), geometry_x, geometry_y)
            if wanted is not None:
                queries = gather_tokens(queries, wanted, self.shape.wanted)
            x = torch.cat([context, queries], dim=1)
        start, last = context.shape[1], len(self.blocks) - 1
        for number, block in enumerate(self.blocks):
            x = cast(Block, block)(x, start=start if needed and number == last else 0, index=index)
            index = None
        x = self.norm(x)
        return self.out(x if needed else x[:, start:])

    def _rows(self, context: Tensor, wanted: Tensor | None) -> tuple[Tensor, Tensor]:
        """[B C + L, width], the tokens of `context` [B, C, width] and L mask tokens; and i64 [B, C + wanted], where in
        these rows each sample's tokens are.
        """
        batch, count = context.shape[0], context.shape[1]
        queries = (self.mask_token + self._query_positions(1, None, None)).squeeze(0)
        own = torch.arange(batch * count, device=context.device).unflatten(0, (batch, count))
        if wanted is None:
            asked = torch.arange(len(queries), device=context.device).expand(batch, -1)
        else:
            asked = chosen_positions(wanted, self.shape.wanted)
        return torch.cat([context.flatten(0, 1), queries]), torch.cat([own, batch * count + asked], dim=1)

    def _query_positions(self, batch: int, geometry_x: Tensor | None, geometry_y: Tensor | None) -> Tensor:
        like = self.mask_token
        if self.relative is None:
            return sincos_2d(self.target_grid, self.width, like.dtype, like.device).expand(batch, -1, -1)
        rows = like.expand(batch, -1)
        embedding = relative_embedding(
            geometry_x, geometry_y, self.shape.input_grid, self.target_grid, self.width, rows
        )
        return self.relative(embedding.to(like.dtype))


class PromptingDecoder(nn.Module):
    """Mask tokens at the hidden positions attend to everything; the encoder's tokens stay as they are (MILAN).

    The prediction at a visible position is the linear layer on the encoder's token itself.
    """

    def __init__(self, shape: PredictorShape, *, layers: int, heads: int, width: int, norm_kind: Norm) -> None:
        super().__init__()
        self.shape = shape
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
    ) -> Tensor:
        context = self.context(features, hidden, source)
        x = context[:, self.shape.prefix :]
        if hidden is not None:
            visible = x.shape[1]
            holes = hidden.shape[1] - visible
            table = sincos_2d(self.shape.input_grid, self.width, self.mask_token.dtype, x.device)
            queries = self.mask_token + gather_tokens(table.expand(len(x), -1, -1), hidden, holes)
            for block in self.blocks:
                queries = cast(Block, block).update(queries, context)
            order = torch.cat([chosen_positions(~hidden, visible), chosen_positions(hidden, holes)], dim=1)
            place = torch.argsort(order, dim=1).unsqueeze(-1).expand(-1, -1, self.width)
            x = torch.gather(torch.cat([x, queries], dim=1), 1, place)
        if wanted is not None:
            x = gather_tokens(x, wanted, self.shape.wanted)
        return self.out(self.norm(x))
