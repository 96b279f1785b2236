"""A split of a Hugging Face dataset, as an opened source.

Takes: a name on the Hub or a folder, and columns. Gives: samples in the order of the split. Guarantees: only the
columns of the fields asked for are read, and images are decoded here, so that a broken one is named; code that comes
with a dataset is not run.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from m3i_dsl.data.readers.files import located
from m3i_dsl.data.readers.images import Unreadable
from m3i_dsl.data.readers.stored import StoredImages
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.vocabulary.kinds import BrokenSample, Dataset, Sample, SourceDescription, WordError
from m3i_dsl.vocabulary.sources.huggingface import HuggingFace
from m3i_dsl.vocabulary.sources.prompts import filled


class HuggingFaceImages(StoredImages):
    """The samples of the split that one argument names. `known` are the training categories of a test split."""

    def __init__(self, word: HuggingFace, base: Path, argument: str, known: tuple[str, ...] | None = None) -> None:
        self.word, self.base = word, base
        self.split = word.split if argument == "split" else word.test or ""
        table = _loaded(word, self.split, base, argument)
        for name, column in (("image", word.image), ("caption", word.caption), ("category", word.category)):
            if column is not None and column not in table.column_names:
                raise WordError(
                    f"`{word.dataset}` has no column `{column}`",
                    argument=name,
                    help="; ".join(
                        help_for(column, table.column_names, otherwise=f"it has {', '.join(table.column_names)}")
                    ),
                )
        images = importlib.import_module("datasets").Image
        if not isinstance(table.features[word.image], images):
            raise WordError(f"column `{word.image}` of `{word.dataset}` holds no images", argument="image")
        self.fingerprint = str(table._fingerprint)
        self.categories = self._categories(table, known)
        self.columns = {
            "image": table.select_columns([word.image]).cast_column(word.image, images(decode=False)),
            **{
                column: table.select_columns([column]) for column in (word.caption, word.category) if column is not None
            },
        }
        self.samples = len(table)
        self.canvas = word.canvas
        self.probe("image")

    def __len__(self) -> int:
        return self.samples

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        image, size = self.image(index) if "image" in fields else (None, None)
        named = "text" in fields and self.word.prompt is not None
        category = None
        if self.word.category is not None and ("category" in fields or named):
            category = self.columns[self.word.category][index][self.word.category]
            if not isinstance(category, int) or not 0 <= category < len(self.categories):
                raise BrokenSample(self.name(index), f"category {category} is not one of {len(self.categories)}")
        text = None
        if named and self.word.prompt is not None and category is not None:
            text = filled(self.word.prompt, self.categories[category])
        elif "text" in fields and self.word.caption is not None:
            text = self.columns[self.word.caption][index][self.word.caption]
            if not isinstance(text, str):
                raise BrokenSample(self.name(index), f"column `{self.word.caption}` is no text")
        return Sample(image=image, text=text, category=category if "category" in fields else None, size=size)

    def stored(self, index: int) -> bytes:
        value = self.columns["image"][index][self.word.image]
        if value is None:
            raise Unreadable("it is null")
        if value["bytes"] is not None:
            return value["bytes"]
        return Path(value["path"]).read_bytes()

    def name(self, index: int) -> str:
        return f"{self.split} row {index}"

    def evaluation(self) -> Dataset:
        if self.word.test is None:
            raise WordError(
                "`huggingface` has no held-out split to evaluate on",
                argument="dataset",
                help='name it: `test: "validation"`',
            )
        return HuggingFaceImages(self.word, self.base, "test", self.categories)

    def description(self) -> SourceDescription:
        """The fingerprint is the library's own, over the files and what was done to them."""
        return SourceDescription(self.samples, self.categories, self.fingerprint)

    def _categories(self, table: Any, known: tuple[str, ...] | None) -> tuple[str, ...]:
        if self.word.category is None:
            return ()
        names = getattr(table.features[self.word.category], "names", None)
        if names is None:
            raise WordError(
                f"column `{self.word.category}` of `{self.word.dataset}` has no category names",
                argument="category",
                help="`dataset.class_encode_column(...)` makes a `ClassLabel` of it; then `save_to_disk`",
            )
        found = tuple(str(name) for name in names)
        if known is not None and found != known:
            raise WordError(f"split `{self.split}` has other categories than the one trained on", argument="test")
        return found


def _loaded(word: HuggingFace, split: str, base: Path, argument: str) -> Any:
    if importlib.util.find_spec("datasets") is None:
        raise WordError(
            "`huggingface` needs datasets, which is not installed", help='run `pip install "m3ic[huggingface]"`'
        )
    datasets = importlib.import_module("datasets")
    folder = located(word.dataset, base)
    try:
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            saved = datasets.load_from_disk(str(folder))
            if isinstance(saved, datasets.Dataset):
                if split not in (str(saved.split), "train"):
                    raise WordError(f"`{word.dataset}` is one split, `{saved.split}`", argument=argument)
                return saved
            if split not in saved:
                raise WordError(
                    f"`{word.dataset}` has no split `{split}`", argument=argument, help=f"it has {', '.join(saved)}"
                )
            return saved[split]
        path = str(folder) if folder.is_dir() else word.dataset
        return datasets.load_dataset(path, word.config, split=split, revision=word.revision)
    except WordError:
        raise
    except Exception as error:  # the library and what it stands on have errors of their own
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise WordError(f"`{word.dataset}` cannot be loaded: {reason}", argument="dataset") from error
