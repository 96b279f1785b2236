"""What the hand-written methods share: timm's ViT, a decoder, positions, copies for averages, the training step.

Takes: a `Size`. Gives: modules of plain torch and timm. Guarantees: the best that torch offers by itself is used (fused
attention, fused AdamW, one lerp over all averages, the loss on the wanted tokens alone), so that a comparison is one
with good code; nothing of the package is imported.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmarks.speed.size import Size

Batch = Mapping[str, Tensor]
Counterpart = tuple[nn.Module | nn.Parameter, nn.Module | nn.Parameter]

NORM: Any = partial(nn.LayerNorm, eps=1e-6)  # timm declares a class and takes any callable

# One kernel over lists of tensors; torch has no public name for it.
_lerp: Any = torch._foreach_lerp_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


class Handwritten(nn.Module):
    """A method: `forward(batch)` is its loss."""

    momentum: float = 1.0

    def averaged(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        """(average, what it follows) for each average."""
        return ()

    def move_averages(self) -> None:
        """Moves them by `momentum`; one call over all tensors."""
        if not self.averaged():
            return
        averages = [p for average, _ in self.averaged() for p in average.parameters()]
        sources = [p for _, followed in self.averaged() for p in followed.parameters()]
        with torch.no_grad():
            _lerp(averages, sources, 1 - self.momentum)

    def counterparts(self, other: nn.Module) -> Sequence[Counterpart] | None:
        """Own parts beside those of a compiled graph whose parameters come in the same order; None: cannot be told."""
        return None


class HandwrittenStep:
    """One call is one training step on the same batch: forward, backward, fused AdamW, averages."""

    def __init__(
        self,
        model: Handwritten,
        batch: Batch,
        *,
        device: str = "cpu",
        context: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.model = model.to(device).train()
        self.batch = {name: value.to(device) for name, value in batch.items()}
        self.context = context
        trained = [p for p in model.parameters() if p.requires_grad]
        decayed, exempt = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": 0.05}]
        if exempt:
            groups.append({"params": exempt, "weight_decay": 0.0})
        self.optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), fused=device != "meta")

    def __call__(self) -> Tensor:
        """The loss before the step."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.context():
            loss: Tensor = self.model(self.batch)
        loss.backward()
        self.optimizer.step()
        self.model.move_averages()
        return loss.detach()


def vit(size: Size) -> Any:
    """timm's ViT of this size, with a class token and learned positions, without a head."""
    return timm.create_model(
        "vit_tiny_patch16_224",
        img_size=size.size,
        patch_size=size.patch,
        embed_dim=size.width,
        depth=size.depth,
        num_heads=size.heads,
        num_classes=0,
    )


def average_of(*modules: nn.Module) -> list[nn.Module]:
    """Copies that take no gradient."""
    return [copy.deepcopy(module).requires_grad_(False) for module in modules]


def positions_of(hidden: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Of a bool mask [B, L] with `count` True in each row: the positions [B, L - count] not hidden, and [B, count]."""
    order = hidden.to(torch.uint8).argsort(dim=1, stable=True)
    return order[:, : hidden.shape[1] - count], order[:, hidden.shape[1] - count :]


def take(x: Tensor, index: Tensor) -> Tensor:
    """[B, N, D]: the tokens of x [B, L, D] at `index` [B, N]."""
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def visible_tokens(encoder: Any, image: Tensor, index: Tensor) -> Tensor:
    """[B, 1 + N, D]: the ViT on its class token and the patches at `index` [B, N]."""
    x = encoder._pos_embed(encoder.patch_embed(image))
    x = torch.cat([x[:, :1], take(x[:, 1:], index)], dim=1)
    return encoder.norm(encoder.blocks(encoder.norm_pre(x)))


def pooled(encoder: Any, image: Tensor) -> Tensor:
    """[B, D]: the mean of the patch tokens."""
    return encoder.forward_features(image)[:, 1:].mean(dim=1)


def class_token(encoder: Any, image: Tensor) -> Tensor:
    """[B, D]: the class token."""
    return encoder.forward_features(image)[:, 0]


def patchify(image: Tensor, patch: int) -> Tensor:
    """[B, L, 3 patch^2], values in the order (row, column, channel)."""
    cells = image.unfold(2, patch, patch).unfold(3, patch, patch)
    return cells.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def sincos_table(side: int, width: int, like: Tensor) -> Tensor:
    """[side^2, width]: waves of the row, then of the column."""
    cell = torch.arange(side * side, device=like.device)
    count = width // 4
    return torch.cat([waves(cell // side, count, like.dtype), waves(cell % side, count, like.dtype)], dim=-1)


def waves(x: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """[..., 2 count]: sin and cos of x / 10000^(k / count)."""
    frequencies = 10000.0 ** -(torch.arange(count, dtype=dtype, device=x.device) / count)
    angles = x.to(dtype).unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Decoder(nn.Module):
    """MAE's decoder: mask tokens at the asked positions attend to the encoder's tokens and to themselves."""

    def __init__(self, size: Size, *, width: int, layers: int, heads: int, output: int, relative: bool = False) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.embed = nn.Linear(size.width, width)
        self.relative = nn.Linear(2 * width, width) if relative else None
        self.blocks = nn.Sequential(*(Block(width, heads, qkv_bias=True, norm_layer=NORM) for _ in range(layers)))
        self.norm = NORM(width)
        self.out = nn.Linear(width, output)
        self.register_buffer("table", sincos_table(size.side, width, torch.zeros(())), persistent=False)

    def forward(self, tokens: Tensor, seen: Tensor, queries: Tensor) -> Tensor:
        """[B, Q, E] for `tokens` [B, 1 + N, D] at the positions `seen` [B, N], and `queries` [B or 1, Q, width]."""
        context = self.embed(tokens)
        context = torch.cat([context[:, :1], context[:, 1:] + self.at(seen)], dim=1)
        x = torch.cat([context, (self.mask_token + queries).expand(len(tokens), -1, -1)], dim=1)
        return self.out(self.norm(self.blocks(x)[:, context.shape[1] :]))

    def at(self, index: Tensor) -> Tensor:
        """[B, N, width]: the table at positions [B, N]."""
        return self.get_buffer("table")[index]

    def everywhere(self) -> Tensor:
        """[1, L, width]: the queries for all positions."""
        return self.get_buffer("table").unsqueeze(0)

    def elsewhere(self, geometry_x: Tensor, geometry_y: Tensor, side: int) -> Tensor:
        """[B, L, width]: the queries for all patches of view y by where they are in view x (SiameseIM)."""
        assert self.relative is not None
        top_x, left_x, height_x, width_x, flip_x, across = geometry_x.unbind(dim=1)
        top_y, left_y, height_y, width_y, flip_y, _ = geometry_y.unbind(dim=1)
        centre = torch.arange(side, dtype=geometry_x.dtype, device=geometry_x.device) + 0.5
        tall, wide = height_y / height_x, width_y / width_x
        row = tall[:, None] * centre + ((top_y - top_x) / height_x * side)[:, None] - 0.5
        straight = wide[:, None] * centre + ((left_y - left_x) / width_x * side)[:, None]
        mirrored = ((across - left_x - left_y) / width_x * side)[:, None] - wide[:, None] * centre
        column = torch.where((flip_x != flip_y)[:, None], mirrored, straight) - 0.5
        count, dtype = self.mask_token.shape[0] // 4, geometry_x.dtype
        parts = (
            waves(row, count, dtype)[:, :, None].expand(-1, -1, side, -1),
            waves(column, count, dtype)[:, None].expand(-1, side, -1, -1),
            waves(10 * tall.log(), count, dtype)[:, None, None].expand(-1, side, side, -1),
            waves(10 * wide.log(), count, dtype)[:, None, None].expand(-1, side, side, -1),
        )
        return self.relative(torch.cat(parts, dim=-1).flatten(1, 2).to(self.mask_token.dtype))


def info_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """Each query finds its own key in the batch."""
    logits = query @ key.T / temperature
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def l2(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1)
