"""`place`: a point of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3i_dsl.vocabulary.kinds import Encoder, PlainModality, Storage, Unreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Place(PlainModality):
    """(row, column) of a point, from -1 at the upper left of the image to 1 at its lower right.

    It enters the graph as f32 [B, 2].
    """

    name = "place"
    singular = "a place"
    plural = "places"
    dtype = "f32"

    def decode(self, stored: Any, storage: Storage) -> NDArray[np.float64]:
        import numpy as np

        try:
            place = np.asarray(stored, dtype=np.float64)
        except (TypeError, ValueError):
            raise Unreadable("is no list of numbers") from None
        if place.shape != (2,) or not (np.abs(place) <= 1).all():
            raise Unreadable("is no (row, column) of numbers from -1 to 1")
        return place

    def dimensions(self, by: Encoder | None) -> tuple[int, ...]:
        return (2,)

    def collate(self, values: Sequence[NDArray[np.float64]], by: Encoder | None, base: Path) -> NDArray[np.float32]:
        import numpy as np

        return np.stack(values).astype(np.float32)

    def examples(self, rows: int, number: int) -> list[Any]:
        import numpy as np

        angles = np.arange(rows) + number
        return list(0.8 * np.stack([np.sin(angles), np.cos(angles)], axis=1))
