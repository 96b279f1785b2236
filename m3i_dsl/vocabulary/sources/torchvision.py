"""`torchvision`: datasets by the name of their class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Dataset, Modality, Source, WordError
from m3i_dsl.vocabulary.sources.fields import ROOT, image_fields
from m3i_dsl.vocabulary.sources.prompts import check_prompt
from m3i_dsl.vocabulary.values import Count, Pixels
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from m3i_dsl.data.readers.torchvision import TorchvisionImages

BY_TRAIN = ("EMNIST", "FashionMNIST", "KMNIST", "MNIST", "QMNIST")
"""Those whose part is chosen by `train=True` or `False`."""

BY_SPLIT = (
    "Country211",
    "DTD",
    "FGVCAircraft",
    "Flowers102",
    "Food101",
    "GTSRB",
    "OxfordIIITPet",
    "PCAM",
    "RenderedSST2",
    "STL10",
    "StanfordCars",
    "SVHN",
)
"""Those whose part is chosen by `split="train"` and the like."""

PICKLED = ("CIFAR10", "CIFAR100", "ImageNet", "EMNIST", "QMNIST")
"""Those that torchvision reads with pickle or torch.load, which run whatever a file says."""

NAMES = tuple(sorted({*BY_TRAIN, *BY_SPLIT} - set(PICKLED)))


@dataclass(frozen=True, slots=True)
class Torchvision(Source):
    """A dataset of torchvision, by the name of its class: `torchvision("MNIST", root: "data")`.

    Fields: `image` and `category`, and `text` by a `prompt`. The files must be below `root` as torchvision downloads
    them; `download: true` fetches them when the recipe is compiled. Classes that read pickle files (CIFAR10,
    ImageNet) are not offered, because such files can run code: read these data as `parquet` or `folder`.
    """

    name = "torchvision"
    read_by = ROOT

    dataset: str = argument(doc=f"one of {', '.join(NAMES)}")
    root: str = argument("data", doc="the folder of the files, relative to the recipe's", origin="our choice")
    split: str = argument("train", doc="the split to train on", origin="torchvision")
    test: str = argument("test", doc="the held-out split", origin="torchvision")
    download: bool = argument(False, doc="whether files that are missing are downloaded", origin="torchvision")
    canvas: Pixels | None = argument(
        None, doc="side of the square that images are resampled to when read; left out, they stay as stored", minimum=1
    )
    prompt: str | None = argument(
        None, doc='gives the field `text`: this with the category\'s name in place of `{}`, such as "a photo of a {}"'
    )
    limit: Count | None = argument(
        None, doc="so many samples of each split, always the same ones; changes what is trained", minimum=1
    )

    def check(self) -> None:
        check_prompt(self.prompt, category=True, caption=False)
        if self.dataset in PICKLED:
            raise WordError(
                f"torchvision reads `{self.dataset}` with pickle, which runs whatever the files say",
                argument="dataset",
                help="read it as `parquet`, such as from the Hugging Face Hub, or as `folder`",
            )
        if self.dataset not in NAMES:
            raise WordError(
                f"there is no torchvision data `{self.dataset}` to train on",
                argument="dataset",
                help=f"there are {', '.join(NAMES)}",
            )
        if self.dataset in BY_TRAIN and not {self.split, self.test} <= {"train", "test"}:
            raise WordError(f"`{self.dataset}` has the splits `train` and `test`", argument="split")

    def fields(self) -> Mapping[str, Modality]:
        return image_fields(text=self.prompt is not None, category=True)

    def open(self, base: Path) -> Dataset:
        from m3i_dsl.data.readers.subset import limited

        return limited(self._opened(self.split, base, "split"), self.limit)

    def _opened(self, split: str, base: Path, argument: str) -> TorchvisionImages:
        from m3i_dsl.data.readers.torchvision import TorchvisionImages

        self.check()
        return TorchvisionImages(
            self.dataset,
            split,
            base,
            argument,
            selection={"train": split == "train"} if self.dataset in BY_TRAIN else {"split": split},
            held_out=partial(self._opened, self.test, base, "test"),
            root=self.root,
            download=self.download,
            canvas=self.canvas,
            prompt=self.prompt,
        )
