"""The trained parts of target representations: class tables and text projections.

Takes: nothing or text features. Gives: the candidate rows of a Boltzmann target. Guarantees: initialised as the
classifiers and projections that they stand for (N(0, 0.02) rows as in timm's heads, N(0, 1/sqrt(width)) as in CLIP).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassTable(nn.Module):
    """W: [C, E], and a bias [C] or None."""

    bias: nn.Parameter | None

    def __init__(self, categories: int, width: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(categories, width))
        nn.init.trunc_normal_(self.weight, std=0.02)
        self.bias = nn.Parameter(torch.zeros(categories)) if bias else None

    def forward(self) -> tuple[Tensor, Tensor | None]:
        return self.weight, self.bias


class TextProjection(nn.Module):
    """Pooled text [B, W] -> text embedding [B, E], before normalisation; no bias (CLIP)."""

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_width, width, bias=False)
        nn.init.normal_(self.linear.weight, std=input_width**-0.5)

    def forward(self, text: Tensor) -> Tensor:
        return self.linear(text)
