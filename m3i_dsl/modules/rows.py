"""Rows of a batch that follow a pattern, and batches put together by one.

Takes: tensors [B, ...] and ranges of a period that divides B. Gives: the rows of these ranges, or the batch that is
made of such rows. Guarantees: shapes and places are known beforehand, so nothing is read from the data and
torch.compile sees slices; the same for every slice of whole periods.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from m3i_dsl.ir.dimensions import ranges_of


def rows(x: Tensor, period: int, which: str) -> Tensor:
    """The rows of `x` [B, ...] that are in the ranges `which` ("0:2 6:8") of each `period` rows, in order."""
    periods = x.unflatten(0, (-1, period))
    parts = [periods[:, first:end] for first, end in ranges_of(which)]
    return (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)).flatten(0, 1)


def interleaved(parts: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """[B, ...] of `parts` [B_k, ...]: `counts[k]` rows of each in turn, over and over."""
    if len(parts) == 1:
        return parts[0]
    periods = [part.unflatten(0, (-1, count)) for part, count in zip(parts, counts, strict=True)]
    return torch.cat(periods, dim=1).flatten(0, 1)
