"""`huggingface`: datasets of the Hugging Face Hub, or saved by its library."""

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
    from m3i_dsl.data.readers.huggingface import HuggingFaceImages


@dataclass(frozen=True, slots=True)
class HuggingFace(Source):
    """A split of a dataset of the Hugging Face Hub, or of a folder that `save_to_disk` wrote.

    Needs the library (`pip install "m3ic[huggingface]"`), which downloads a dataset once; any of its samples is then
    read by itself. Code that comes with a dataset is never run. Fields and arguments as in `parquet`, which reads the
    same files without the library.
    """

    name = "huggingface"
    read_by = COLUMNS

    dataset: str = argument(doc='its name, such as "timm/mini-imagenet", or a folder relative to the recipe\'s')
    split: str = argument("train", doc="the split to train on", origin="Hugging Face")
    test: str | None = argument(None, doc="the held-out split")
    config: str | None = argument(None, doc="which of the dataset's configurations")
    revision: str | None = argument(None, doc="a commit or tag of the dataset, so that it stays the same")
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
        None, doc="so many samples of each split, always the same ones; changes what is trained", minimum=1
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

        return limited(self._opened(self.split, base, "split"), self.limit)

    def _opened(self, split: str, base: Path, argument: str, known: Storage | None = None) -> HuggingFaceImages:
        from m3i_dsl.data.readers.huggingface import HubDataset, HuggingFaceImages

        return HuggingFaceImages(
            HubDataset(self.dataset, self.config, self.revision),
            split,
            base,
            argument,
            held_out=partial(self._held_out, base),
            image=self.image,
            caption=self.caption,
            category=self.category,
            canvas=self.canvas,
            largest=self.largest,
            prompt=self.prompt,
            known=known,
        )

    def _held_out(self, base: Path, known: Storage) -> Dataset:
        if self.test is None:
            raise WordError(
                "`huggingface` has no held-out split to evaluate on",
                argument="dataset",
                help='name it: `test: "validation"`',
            )
        return self._opened(self.test, base, "test", known)
