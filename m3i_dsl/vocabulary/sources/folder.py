"""`folder`: image files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Dataset, Modality, Source, Storage, WordError
from m3i_dsl.vocabulary.sources.fields import FILES, image_fields
from m3i_dsl.vocabulary.sources.prompts import check_prompt
from m3i_dsl.vocabulary.values import Count, Pixels
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from m3i_dsl.data.readers.folder import FolderImages


@dataclass(frozen=True, slots=True)
class Folder(Source):
    """The image files below a folder, in the order of their paths.

    Field `category` is the name of the first sub-folder (`category: false` for a flat folder); field `text` is read
    from a `.txt` file beside each image when `caption: true`, or made from the category by a `prompt`. A file that
    cannot be decoded is skipped, counted and named. Images may have any sizes: a crop is cut from each as it is stored.
    With a `canvas` each is first resampled whole to that square; crops keep their true aspect.
    """

    name = "folder"
    read_by = FILES

    path: str = argument(doc="the folder, relative to the recipe's")
    test: str | None = argument(None, doc="the folder of held-out images, with the same categories")
    canvas: Pixels | None = argument(
        None, doc="side of the square that images are resampled to when read; left out, they stay as stored", minimum=1
    )
    category: bool = argument(True, doc="whether sub-folders are categories")
    caption: bool = argument(False, doc="whether each image has a caption in a `.txt` file beside it")
    largest: Pixels | None = argument(
        None, doc="pixels that an image may have, height times width; left out, 178956970", minimum=1
    )
    lines: bool = argument(
        False, doc="whether each line of that file is a caption, of which one is drawn each time the image is read"
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
        check_prompt(self.prompt, category=self.category, caption=self.caption)
        if self.lines and not self.caption:
            raise WordError("`lines` are those of captions", argument="lines", help="write `caption: true`")

    def fields(self) -> Mapping[str, Modality]:
        return image_fields(text=self.caption or self.prompt is not None, category=self.category)

    def has_held_out(self) -> bool:
        return self.test is not None

    def open(self, base: Path) -> Dataset:
        from m3i_dsl.data.readers.subset import limited

        return limited(self._opened(self.path, base, "path"), self.limit)

    def _opened(self, written: str, base: Path, argument: str, known: Storage | None = None) -> FolderImages:
        from m3i_dsl.data.readers.folder import FolderImages

        return FolderImages(
            written,
            base,
            argument,
            held_out=partial(self._held_out, base),
            canvas=self.canvas,
            largest=self.largest,
            category=self.category,
            caption=self.caption,
            lines=self.lines,
            prompt=self.prompt,
            known=known,
        )

    def _held_out(self, base: Path, known: Storage) -> Dataset:
        if self.test is None:
            raise WordError(
                "`folder` has no held-out images to evaluate on",
                argument="path",
                help='name their folder: `test: "..."`',
            )
        return self._opened(self.test, base, "test", known)
