"""Dimensions that depend on the batch, and rows of it.

Takes: dimensions and attributes of the IR. Gives: how many batches a dimension is, and the other way round; ranges of
rows as an attribute. Guarantees: each function is the inverse of its sibling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

from m3i_dsl.ir.graph import Dimension

_BATCH = re.compile(r"(\d*)B(?:/(\d+))?\Z")

Ranges = tuple[tuple[int, int], ...]
"""Rows (first, end) of a period, ascending."""


def batches_in(dimension: Dimension) -> Fraction | None:
    """1 for `B`, 2 for `2B`, 4/5 for `4B/5`; None for a dimension that is no batch."""
    match = _BATCH.match(dimension) if isinstance(dimension, str) else None
    return None if match is None else Fraction(int(match[1] or 1), int(match[2] or 1))


def batch_dimension(batches: Fraction) -> str:
    """`B`, `2B`, `4B/5`."""
    number = "" if batches.numerator == 1 else str(batches.numerator)
    return f"{number}B" if batches.denominator == 1 else f"{number}B/{batches.denominator}"


def ranges_of(text: str) -> Ranges:
    """`0:2 6:8` as ((0, 2), (6, 8)). Raises ValueError for another text."""
    pairs = (part.split(":") for part in text.split())
    return tuple((int(first), int(end)) for first, end in pairs)


def ranges_text(ranges: Iterable[tuple[int, int]]) -> str:
    """((0, 2), (6, 8)) as `0:2 6:8`."""
    return " ".join(f"{first}:{end}" for first, end in ranges)
