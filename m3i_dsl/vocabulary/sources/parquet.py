"""`parquet`: files in the layout of Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Dataset, Modality, Source, Storage, WordError
from m3i_dsl.vocabulary.sources.fields import COLUMNS, image_fields
from m3i_dsl.vocabulary.sources.prompts import check_prompt
from m3i_dsl.vocabulary.values import Count, Pixels
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from m3i_dsl.data.readers.parquet import ParquetImages


@dataclass(frozen=True, slots=True)
class Parquet(Source):
    """The rows of Parquet files, as Hugging Face datasets writes them.

    Field `image` is a column of encoded images (bytes, or a struct of `bytes` and `path`), field `text` the column
    named by `caption`, or made from the category by a `prompt`, field `category` the column named by `category`: whole
    numbers whose names stand in the files' metadata, or strings. A row that cannot be decoded is skipped, counted and
    named. A random row costs its row group, so small row groups (100 rows, the Hugging Face default for images) read
    faster than large ones. `canvas` as in `folder`.
    """

    name = "parquet"
    read_by = COLUMNS

    path: str = argument(
        doc="a file, a folder, `*` or `{000..127}` in a path relative to the recipe's folder, or a URL"
    )
    test: str | None = argument(None, doc="the held-out files, with the same columns")
    image: str = argument("image", doc="the column of images", origin="Hugging Face")
    caption: str | None = argument(None, doc="the column of texts")
    category: str | None = argument(None, doc="the column of categories")
    canvas: Pixels | None = argument(
        None, doc="side of the square that images are resampled to when read; left out, they stay as stored", minimum=1
    )
    largest: Pixels | None = argument(
        None, doc="pixels that an image may have, height times width; left out, 178956970", minimum=1
    )
    prompt: str | None = argument(
        None, doc='gives the field `text`: this with the category\'s name in place of `{}`, such as "a photo of a {}"'
    )
    limit: Count | None = argument(
        None,
        doc="so many samples of each split, always the same ones; changes what is trained",
        minimum=1,
    )

    def check(self) -> None:
        check_prompt(self.prompt, category=self.category is not None, caption=self.caption is not None)

    def fields(self) -> Mapping[str, Modality]:
        return image_fields(
            text=self.caption is not None or self.prompt is not None, category=self.category is not None
        )

    def has_held_out(self) -> bool:
        return self.test is not None

    def open(self, base: Path) -> Dataset:
        from m3i_dsl.data.readers.subset import limited

        return limited(self._opened(self.path, base, "path"), self.limit)

    def _opened(self, written: str, base: Path, argument: str, known: Storage | None = None) -> ParquetImages:
        from m3i_dsl.data.readers.parquet import ParquetImages
        from m3i_dsl.data.readers.parquet_columns import Columns

        return ParquetImages(
            written,
            base,
            argument,
            held_out=partial(self._held_out, base),
            columns=Columns(self.image, self.caption, self.category),
            canvas=self.canvas,
            largest=self.largest,
            prompt=self.prompt,
            known=known,
        )

    def _held_out(self, base: Path, known: Storage) -> Dataset:
        if self.test is None:
            raise WordError(
                "`parquet` has no held-out rows to evaluate on", argument="path", help='name their files: `test: "..."`'
            )
        return self._opened(self.test, base, "test", known)
