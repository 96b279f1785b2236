"""`parquet`: files in the layout of Hugging Face datasets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from m3i_dsl.vocabulary.kinds import Dataset, Modality, Source, SourceDescription
from m3i_dsl.vocabulary.values import Pixels
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class Parquet(Source):
    """The rows of Parquet files, as Hugging Face datasets writes them.

    Field `image` is a column of encoded images (bytes, or a struct of `bytes` and `path`), field `text` the column
    named by `caption`, field `category` the column named by `category`: whole numbers whose names stand in the files'
    metadata, or strings. A row that cannot be decoded is skipped, counted and named. A random row costs its row
    group, so small row groups (100 rows, the Hugging Face default for images) read faster than large ones. `canvas`
    as in `folder`.
    """

    name = "parquet"

    path: str = argument(doc="a file, a folder, or a pattern with `*`, relative to the recipe's folder")
    test: str | None = argument(None, doc="the held-out files, with the same columns")
    image: str = argument("image", doc="the column of images", origin="Hugging Face")
    caption: str | None = argument(None, doc="the column of texts")
    category: str | None = argument(None, doc="the column of categories")
    canvas: Pixels | None = argument(
        None, doc="side of the square that images are resampled to when read; left out, all have one size", minimum=1
    )

    def fields(self) -> dict[str, Modality]:
        fields: dict[str, Modality] = {"image": "image"}
        if self.caption is not None:
            fields["text"] = "text"
        if self.category is not None:
            fields["category"] = "category"
        return fields

    def describe(self, base: Path) -> SourceDescription:
        from m3i_dsl.data.parquet import ParquetImages

        return ParquetImages(self, base, "path").description()

    def open(self, base: Path) -> Dataset:
        from m3i_dsl.data.parquet import ParquetImages

        return ParquetImages(self, base, "path")
