"""Two global and eight local crops through one encoder: a call for each crop, one for each size, packed, or padded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.agreement import Disagreement
from benchmarks.speed.cases.case import Context
from benchmarks.speed.outcome import Outcome
from m3i_dsl.modules.encoders.vit import VitEncoder
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import EncoderContext

BATCHES = (1, 4, 16)
GLOBAL = 2
LOCAL = 8


def multi_crop(batch: int, context: Context) -> Outcome:
    """Forward and backward of all crops of `batch` images; local crops have 3/7 of the tokens on a side (DINO)."""
    size = context.size
    word = Timm("vit_tiny_patch16_224", size.size, size.patch, width=size.width, depth=size.depth, heads=size.heads)
    encoder = cast(VitEncoder, word.build(EncoderContext(mask_token=False)))
    small = max(1, size.side * 3 // 7) * size.patch
    crops = [torch.randn(batch, 3, size.size, size.size) for _ in range(GLOBAL)]
    crops += [torch.randn(batch, 3, small, small) for _ in range(LOCAL)]
    both = torch.cat(crops[:GLOBAL]), torch.cat(crops[GLOBAL:])

    def each() -> Tensor:
        return sum_of(*(cast(Tensor, encoder(crop)) for crop in crops))

    def by_size() -> Tensor:
        return sum_of(*(cast(Tensor, encoder(images)) for images in both))

    def packed() -> Tensor:
        return sum_of(*cast("tuple[Tensor, ...]", encoder(both)))

    def padded() -> Tensor:
        return sum_of(*padded_features(encoder, both))

    ways = {"each crop": each, "each size": by_size, "packed": packed, "padded": padded}
    expected = each().detach()
    for name, way in ways.items():
        if not torch.allclose(way(), expected, rtol=1e-4):
            raise Disagreement(f"features of {name} differ from those of each crop")

    def step(way: Callable[[], Tensor]) -> None:
        way().backward()
        encoder.zero_grad(set_to_none=True)

    return Outcome(
        f"multi_crop_{batch}", "packed", context.timed({name: partial(step, way) for name, way in ways.items()})
    )


def sum_of(*features: Tensor) -> Tensor:
    """The sum of the squares of all features."""
    return torch.stack([x.square().sum() for x in features]).sum()


def padded_features(encoder: VitEncoder, images: tuple[Tensor, ...]) -> list[Tensor]:
    """What the packed call yields, by one batch in which short sequences are padded and the padding is masked."""
    sequences = [encoder.positioned(each) for each in images]
    longest = max(x.shape[1] for x in sequences)
    x = torch.cat([F.pad(x, (0, 0, 0, longest - x.shape[1])) for x in sequences])
    real = torch.cat([(torch.arange(longest) < x.shape[1]).expand(len(x), longest) for x in sequences])
    for block in encoder.model.blocks:
        x = cast(Tensor, block(x, attn_mask=real[:, None, None, :]))
    parts = cast(Tensor, encoder.model.norm(x)).split([len(x) for x in sequences])
    return [part[:, : x.shape[1]] for part, x in zip(parts, sequences, strict=True)]


CASES: Mapping[str, Callable[[Context], Outcome]] = {
    f"multi_crop_{batch}": partial(multi_crop, batch) for batch in BATCHES
}
