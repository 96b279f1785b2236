"""`rings`: images of rings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import Dataset, Modality, Picture, Sample, Source, SourceDescription, WordError
from m3i_dsl.vocabulary.modalities import Category, Image
from m3i_dsl.vocabulary.values import Count, Pixels
from m3i_dsl.vocabulary.word import argument
from my_words.place import Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 3
FRACTIONS = 5
"""Of samples, of which one is held out."""


@dataclass(frozen=True, slots=True)
class Rings(Source):
    """Images of one to three rings around one centre, drawn when they are read.

    Fields: `drawing`, `number` (the category: how many rings there are) and `centre`, the place that they are around.
    Every fifth sample is held out.
    """

    name = "rings"

    samples: Count = argument(480, doc="how many samples there are", minimum=30)
    size: Pixels = argument(32, doc="height and width of the images", minimum=16, maximum=1024)
    width: Pixels = argument(2, doc="of the line of a ring", minimum=1)

    def check(self) -> None:
        if self.width * 2 * MOST >= self.size // 2:
            raise WordError(
                f"{MOST} rings of lines of {self.width}px run into each other in images of {self.size}px",
                argument="width",
                help="draw thinner lines",
            )

    def fields(self) -> Mapping[str, Modality]:
        return {"drawing": Image(), "number": Category(), "centre": Place()}

    def open(self, base: Path) -> Dataset:
        self.check()
        return DrawnRings(self, held_out=False)


class DrawnRings(Dataset):
    """The samples: `held_out`, every fifth one, or the others."""

    def __init__(self, word: Rings, *, held_out: bool) -> None:
        self.word = word
        self.numbers = [n for n in range(word.samples) if (n % FRACTIONS == FRACTIONS - 1) == held_out]

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        import numpy as np

        number = self.numbers[index]
        rings = 1 + number % MOST
        row, column, radius = Draws(0, 0, np.array([number]), "rings").uniform(3)[0]
        centre = np.array([row - 0.5, column - 0.5])
        sample: dict[str, Any] = {}
        if "drawing" in fields:
            sample["drawing"] = Picture(
                self._drawn(rings, centre, 0.2 + 0.1 * radius), (self.word.size, self.word.size)
            )
        if "number" in fields:
            sample["number"] = rings - 1
        if "centre" in fields:
            sample["centre"] = centre
        return sample

    def description(self) -> SourceDescription:
        content = f"1 {self.word.text()} {self.numbers[0]}"
        return SourceDescription(len(self), ("one", "two", "three"), content)

    def evaluation(self) -> Dataset:
        return DrawnRings(self.word, held_out=True)

    def _drawn(self, rings: int, centre: NDArray[np.float64], radius: float) -> NDArray[np.uint8]:
        """uint8 [H, W, 3]: rings of `radius`, twice and three times that; lengths in half sides of the image."""
        import numpy as np

        line = 2 * self.word.width / self.word.size
        ticks = np.linspace(-1, 1, self.word.size)
        distance = np.hypot(ticks[:, None] - centre[0], ticks[None, :] - centre[1])
        nearest = np.abs(distance[..., None] - radius * np.arange(1, rings + 1)).min(axis=-1)
        grey = (230 * np.clip(1 - nearest / line, 0, 1)).astype(np.uint8)
        return np.stack([grey, grey // 2 + 20, 255 - grey], axis=-1)
