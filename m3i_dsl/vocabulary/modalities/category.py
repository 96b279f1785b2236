"""`category`: which of the source's classes a sample is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3i_dsl.vocabulary.kinds import Encoder, PlainModality, Storage, Unreadable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

EXAMPLES = 5
"""Categories in a batch without data."""


@dataclass(frozen=True, slots=True)
class Category(PlainModality):
    """One of the source's categories, stored as its name or as its number.

    The categories of a source are those that its samples have, whatever their numbers, in the order of the numbers or
    of the names; a list of names, where there is one, is counted from 0. It enters the graph as i64 [B], the label. In
    a mixture categories of one name are one category.
    """

    name = "category"
    singular = "a category"
    plural = "categories"
    of_categories = True
    dtype = "i64"

    def decode(self, stored: Any, storage: Storage) -> int:
        label = storage.labels.get(stored) if isinstance(stored, str | int) and not isinstance(stored, bool) else None
        if label is None:
            raise Unreadable(f"is not one of the {len(storage.categories)} known")
        return label

    def holds(self, value: Any) -> bool:
        return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 0

    def dimensions(self, by: Encoder | None) -> tuple[int, ...]:
        return ()

    def collate(self, values: Sequence[int], by: Encoder | None, base: Path) -> NDArray[np.int64]:
        import numpy as np

        return np.array(values, dtype=np.int64)

    def examples(self, rows: int, number: int) -> list[int]:
        return [(row + number) % EXAMPLES for row in range(rows)]

    def renumbered(self, values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return labels[values]
