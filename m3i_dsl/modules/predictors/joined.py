"""Heads one after another.

Takes: what the first head takes. Gives: what the last yields. Guarantees: the first alone is told of positions, and the
last alone is asked for codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn


class JoinedHead(nn.Module):
    """`parts` in order."""

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, features: Any, *places: Any, codes: bool = False, **named: Any) -> Any:
        """`codes`: of a last head that is a codebook, the codes in the place of features."""
        first, *others = self.parts
        x = first(features, *places, **named)
        for part in others[:-1]:
            x = part(x)
        return others[-1](x, codes=True) if codes else others[-1](x)
