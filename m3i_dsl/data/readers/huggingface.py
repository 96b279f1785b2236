"""A split of a Hugging Face dataset, as an opened source.

Takes: a name on the Hub or a folder, and columns. Gives: samples in the order of the split. Guarantees: only the
columns of the fields asked for are read, and images are decoded here, so that a broken one is named; code that comes
with a dataset is not run.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m3i_dsl.data.readers.files import content, located
from m3i_dsl.data.readers.parquet_columns import CATEGORIES, Labels, is_category, labels_in
from m3i_dsl.data.readers.prompts import filled
from m3i_dsl.data.readers.stored import HeldOut, StoredImages
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.vocabulary.kinds import Sample, SourceDescription, Storage, Unreadable, WordError
from m3i_dsl.vocabulary.modalities import Text


@dataclass(frozen=True, slots=True)
class HubDataset:
    """What the library loads: a name on the Hub, or a folder relative to the recipe's."""

    dataset: str
    config: str | None
    revision: str | None


class HuggingFaceImages(StoredImages):
    """The samples of a `split`, which an argument of the recipe names. `known` are the categories of training.

    `image`, `caption` and `category` are columns.
    """

    def __init__(
        self,
        hub: HubDataset,
        split: str,
        base: Path,
        argument: str,
        *,
        held_out: HeldOut,
        image: str,
        caption: str | None,
        category: str | None,
        canvas: int | None,
        largest: int | None,
        prompt: str | None,
        known: Storage | None = None,
    ) -> None:
        self.split, self.held_out, self.prompt = split, held_out, prompt
        self.image_column, self.caption = image, caption
        table = _loaded(hub, split, base, argument)
        for name, column in (("image", image), ("caption", caption), ("category", category)):
            if column is not None and column not in table.column_names:
                raise WordError(
                    f"`{hub.dataset}` has no column `{column}`",
                    argument=name,
                    help="; ".join(
                        help_for(column, table.column_names, otherwise=f"it has {', '.join(table.column_names)}")
                    ),
                )
        images = importlib.import_module("datasets").Image
        if not isinstance(table.features[image], images):
            raise WordError(f"column `{image}` of `{hub.dataset}` holds no images", argument="image")
        self.fingerprint = str(table._fingerprint)
        self.labels = None if category is None else _labels(table, hub.dataset, category, known)
        self.categories = () if self.labels is None else self.labels.names
        self.storage = Storage(canvas, self.categories, largest=largest)
        self.columns = {
            "image": table.select_columns([image]).cast_column(image, images(decode=False)),
            **({} if caption is None else {caption: table.select_columns([caption])}),
        }
        self.samples = len(table)
        self.probe("image")

    def __len__(self) -> int:
        return self.samples

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        sample: dict[str, Any] = {}
        if "image" in fields:
            sample["image"] = self.image(index)
        if self.labels is not None:
            category = int(self.labels.indices[index])
            if "category" in fields:
                sample["category"] = category
            if "text" in fields and self.prompt is not None:
                sample["text"] = filled(self.prompt, self.categories[category])
        if "text" in fields and self.caption is not None:
            text = self.columns[self.caption][index][self.caption]
            sample["text"] = self.decoded(index, Text(), f"column `{self.caption}`", text)
        return sample

    def stored(self, index: int) -> bytes:
        value = self.columns["image"][index][self.image_column]
        if value is None:
            raise Unreadable("it is null")
        if value["bytes"] is not None:
            return value["bytes"]
        return content(Path(value["path"]))

    def name(self, index: int) -> str:
        return f"{self.split} row {index}"

    def description(self) -> SourceDescription:
        """The fingerprint is the library's own, over the files and what was done to them."""
        return SourceDescription(self.samples, self.categories, self.fingerprint)


def _labels(table: Any, dataset: str, column: str, known: Storage | None) -> Labels:
    """The category of every row; the column is read by the library, which knows of rows that were left out."""
    values = table.select_columns([column]).with_format("arrow")[:].column(column)
    if not is_category(values.type):
        raise WordError(f"column `{column}` of `{dataset}` has {values.type}, not {CATEGORIES}", argument="category")
    names = getattr(table.features[column], "names", None) or ()
    return labels_in(values, tuple(str(name) for name in names), column, known)


def _loaded(hub: HubDataset, split: str, base: Path, argument: str) -> Any:
    if importlib.util.find_spec("datasets") is None:
        raise WordError(
            "`huggingface` needs datasets, which is not installed", help='run `pip install "m3ic[huggingface]"`'
        )
    datasets = importlib.import_module("datasets")
    folder = located(hub.dataset, base)
    try:
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            saved = datasets.load_from_disk(str(folder))
            if isinstance(saved, datasets.Dataset):
                if split not in (str(saved.split), "train"):
                    raise WordError(f"`{hub.dataset}` is one split, `{saved.split}`", argument=argument)
                return saved
            if split not in saved:
                raise WordError(
                    f"`{hub.dataset}` has no split `{split}`", argument=argument, help=f"it has {', '.join(saved)}"
                )
            return saved[split]
        path = str(folder) if folder.is_dir() else hub.dataset
        return datasets.load_dataset(path, hub.config, split=split, revision=hub.revision)
    except WordError:
        raise
    except Exception as error:  # the library and what it stands on have errors of their own
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise WordError(f"`{hub.dataset}` cannot be loaded: {reason}", argument="dataset") from error
