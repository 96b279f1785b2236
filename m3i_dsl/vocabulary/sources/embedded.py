"""`embedded`: data that comes with the installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from m3i_dsl.vocabulary.kinds import Dataset, Modality, Source, WordError
from m3i_dsl.vocabulary.sources.fields import image_fields
from m3i_dsl.vocabulary.word import argument

DATASETS = ("digits",)


@dataclass(frozen=True, slots=True)
class Embedded(Source):
    """Real data that needs no download: `embedded("digits")`, 1,797 handwritten digits of 8x8 pixels.

    Fields: `image`, `category` ("0" to "9") and `text` (a short caption from one of eight templates). Every fifth
    sample is held out for evaluation. They ship with scikit-learn (Alpaydin and Kaynak 1998, UCI machine learning
    repository).
    """

    name = "embedded"
    in_memory = True

    dataset: str = argument(doc='which data: only "digits" so far')

    def fields(self) -> Mapping[str, Modality]:
        return image_fields(text=True, category=True)

    def check(self) -> None:
        if self.dataset not in DATASETS:
            raise WordError(
                f'there is no embedded data "{self.dataset}"', argument="dataset", help='the only one is "digits"'
            )

    def open(self, base: Path) -> Dataset:
        from m3i_dsl.data.readers.digits import Digits

        self.check()
        return Digits(held_out=False)
