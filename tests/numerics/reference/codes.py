"""A codebook that follows what chooses it, row by row (BEiT v2, Peng et al. 2022).

Nothing of the package is imported. `book` has vectors [K, E], usage [K], direction [E], started and training, which a
step moves in place, and decay and commitment.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.numerics.reference.plain import l2


def quantised(book: Any, z: Tensor) -> tuple[Tensor, Tensor]:
    """z^ + sg(e - z^) of z [..., E], and commitment mean (sg(e) - z^)^2; in training the vectors move afterwards."""
    z = l2(z)
    rows = z.detach().reshape(-1, z.shape[-1])
    if book.training and not book.started:
        book.vectors.copy_(kmeans(rows, book.direction, len(book.vectors)))
        book.started.fill_(True)
    chosen = nearest(book.vectors, rows)
    e = torch.stack([book.vectors[k] for k in chosen]).reshape(z.shape)
    if book.training:
        follow(book, rows, chosen)
    return z + (e - z).detach(), book.commitment * ((e - z) ** 2).mean()


def codes(book: Any, z: Tensor) -> Tensor:
    """i64 [...]: the codes of z [..., E]."""
    return torch.tensor(nearest(book.vectors, l2(z).reshape(-1, z.shape[-1]))).reshape(z.shape[:-1])


def nearest(vectors: Tensor, rows: Tensor) -> list[int]:
    """argmin_k |z - e_k|^2 for each row."""
    return [int(((row - vectors) ** 2).sum(dim=-1).argmin()) for row in rows]


def follow(book: Any, rows: Tensor, chosen: list[int]) -> None:
    """e_k <- l2(decay e_k + (1 - decay) c_k), c_k the direction of the sum of what chose it."""
    for k in range(len(book.vectors)):
        own = [row for row, code in zip(rows, chosen, strict=True) if code == k]
        book.usage[k] = book.decay * book.usage[k] + (1 - book.decay) * len(own)
        if own:
            book.vectors[k] = l2(book.decay * book.vectors[k] + (1 - book.decay) * l2(torch.stack(own).sum(dim=0)))


def kmeans(rows: Tensor, direction: Tensor, count: int) -> Tensor:
    """Ten rounds by cosine, from rows evenly spaced along a direction; an empty mean stays."""
    order = sorted(range(len(rows)), key=lambda n: float(rows[n] @ direction))
    means = torch.stack([rows[order[k * len(rows) // count]] for k in range(count)])
    for _ in range(10):
        chosen = [int((means @ row).argmax()) for row in rows]
        for k in range(count):
            own = [row for row, code in zip(rows, chosen, strict=True) if code == k]
            if own:
                means[k] = l2(torch.stack(own).sum(dim=0))
    return means
