"""`tar`: shards in the layout of WebDataset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Dataset, Modality, Source, Storage, WordError
from m3i_dsl.vocabulary.sources.fields import MEMBERS, image_fields
from m3i_dsl.vocabulary.sources.prompts import check_prompt
from m3i_dsl.vocabulary.values import Pixels
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from m3i_dsl.data.readers.tar import TarImages

KIND = re.compile(r"[a-z0-9_]+(\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Tar(Source):
    """The samples of tar files, as WebDataset and img2dataset write them, from this machine or by http(s), s3 or gs.

    A sample's members share their name up to the first dot. Field `image` is its `.jpg`, `.png` or `.webp`, field
    `text` the member named by `caption` ("txt", or "json.caption" for a field of its `.json`), or made from the
    category by a `prompt`, field `category` the member named by `category` ("cls", "json.label"): a number or a name.
    Training goes through the shards a few at a time, in another order each epoch. Remote shards are fetched whole into
    a cache. A sample that cannot be read is skipped, counted and named. `canvas` as in `folder`.
    """

    name = "tar"
    read_by = MEMBERS

    path: str = argument(doc='the shards: "train/{00000..41407}.tar", a pattern with `*`, a folder; a path or a URL')
    test: str | None = argument(None, doc="the held-out shards, with the same members")
    caption: str | None = argument(None, doc='the member that is the text, such as "txt" or "json.caption"')
    lines: bool = argument(
        False, doc="whether each line of that text is a caption, of which one is drawn each time the sample is read"
    )
    category: str | None = argument(None, doc='the member that is the category, such as "cls" or "json.label"')
    names: str | None = argument(
        None,
        doc='the names of categories: a file with one a line, or a member that names a sample\'s, such as "json.name"',
    )
    sizes: str | None = argument(
        None,
        doc="JSON file with the number of samples of each shard; left out, `sizes.json` beside them if it is there",
    )
    canvas: Pixels | None = argument(
        None, doc="side of the square that images are resampled to when read; left out, they stay as stored", minimum=1
    )
    largest: Pixels | None = argument(
        None, doc="pixels that an image may have, height times width; left out, 178956970", minimum=1
    )
    prompt: str | None = argument(
        None, doc='gives the field `text`: this with the category\'s name in place of `{}`, such as "a photo of a {}"'
    )

    def check(self) -> None:
        check_prompt(self.prompt, category=self.category is not None, caption=self.caption is not None)
        for name, written in (("caption", self.caption), ("category", self.category)):
            if written is not None and KIND.fullmatch(written) is None:
                raise WordError(
                    f'"{written}" names no member', argument=name, help='write "txt", "cls" or "json.label"'
                )
        if self.lines and (self.caption is None or "." in self.caption):
            raise WordError(
                "`lines` are those of a member that is a text", argument="lines", help='name it: `caption: "txt"`'
            )
        if self.names is not None and self.category is None:
            raise WordError("`names` needs categories", argument="names", help='name their member: `category: "cls"`')

    def fields(self) -> Mapping[str, Modality]:
        return image_fields(
            text=self.caption is not None or self.prompt is not None, category=self.category is not None
        )

    def has_held_out(self) -> bool:
        return self.test is not None

    def open(self, base: Path) -> Dataset:
        return self._opened(self.path, base, "path")

    def _opened(self, written: str, base: Path, argument: str, known: Storage | None = None) -> TarImages:
        from m3i_dsl.data.readers.tar import TarImages
        from m3i_dsl.data.readers.tar_contents import Members

        return TarImages(
            written,
            base,
            argument,
            held_out=partial(self._held_out, base),
            members=Members(self.caption, self.lines, self.category, self.names, self.sizes),
            canvas=self.canvas,
            largest=self.largest,
            prompt=self.prompt,
            known=known,
        )

    def _held_out(self, base: Path, known: Storage) -> Dataset:
        if self.test is None:
            raise WordError(
                "`tar` has no held-out shards to evaluate on", argument="path", help='name them: `test: "..."`'
            )
        return self._opened(self.test, base, "test", known)
