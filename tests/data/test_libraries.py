"""Sources that libraries read: torchvision and Hugging Face datasets, from small files written here."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import pytest

from m3i_dsl.vocabulary.kinds import BrokenSample, WordError
from m3i_dsl.vocabulary.sources.huggingface import HuggingFace
from m3i_dsl.vocabulary.sources.torchvision import NAMES, PICKLED, Torchvision
from tests.data.programs import encoded, picture

EVERYTHING = frozenset({"image", "text", "category"})


def idx(path: Path, array: np.ndarray) -> None:
    """The file format of MNIST: two zeros, the type, the number of dimensions, the sizes, the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


@pytest.fixture
def mnist(tmp_path: Path) -> tuple[Path, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    for part, prefix, count in (("train", "train", 12), ("test", "t10k", 4)):
        idx(tmp_path / "data" / "MNIST" / "raw" / f"{prefix}-images-idx3-ubyte", images[:count])
        idx(tmp_path / "data" / "MNIST" / "raw" / f"{prefix}-labels-idx1-ubyte", np.arange(count) % 10)
        assert part in ("train", "test")
    return tmp_path, images


def test_torchvision(mnist: tuple[Path, np.ndarray]) -> None:
    base, images = mnist
    word = Torchvision("MNIST", prompt="the digit {}")
    source = word.open(base)
    assert (len(source), len(source.evaluation())) == (12, 4)
    found = source.read(11, EVERYTHING)
    assert (found["category"], found["text"], found["image"].size) == (1, "the digit 1 - one", (28, 28))
    assert (found["image"].pixels == images[11][..., None]).all()
    described = word.describe(base)
    assert (described.samples, described.categories[1]) == (12, "1 - one")
    assert described.fingerprint != Torchvision("MNIST", split="test").describe(base).fingerprint
    small = Torchvision("MNIST", canvas=8).open(base).read(0, EVERYTHING)
    assert small["image"].pixels.shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("word", "argument", "message"),
    [
        (Torchvision("CIFAR10"), "dataset", "reads `CIFAR10` with pickle"),
        (Torchvision("MNITS"), "dataset", "there is no torchvision data `MNITS`"),
        (Torchvision("MNIST", split="validation"), "split", "has the splits `train` and `test`"),
        (Torchvision("FashionMNIST"), "root", "`FashionMNIST` cannot be read below `data`"),
    ],
)
def test_faults_of_torchvision(tmp_path: Path, word: Torchvision, argument: str, message: str) -> None:
    with pytest.raises(WordError) as caught:
        word.open(tmp_path)
    assert message in caught.value.message
    assert caught.value.argument == argument


class Few:
    """As a class of torchvision is, with whatever samples it is given; every split is the same."""

    samples: ClassVar[list[tuple[PIL.Image.Image, int]]]

    def __init__(self, root: str, *, download: bool, split: str) -> None:
        if split not in ("train", "test"):
            raise ValueError(f"Unknown value '{split}'")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[PIL.Image.Image, int]:
        return self.samples[index]


class Numbered(Few):
    labels = (0, 2)


class Gone(Few):
    classes = ("cat", "dog")

    def __getitem__(self, index: int) -> tuple[PIL.Image.Image, int]:
        if index == 2:
            raise OSError("it is gone")
        return super().__getitem__(index)


def of_torchvision(monkeypatch: pytest.MonkeyPatch, kind: type[Few], samples: list[tuple[PIL.Image.Image, int]]) -> Any:
    from torchvision import datasets

    monkeypatch.setattr(kind, "samples", samples, raising=False)
    monkeypatch.setattr(datasets, "SVHN", kind)
    return Torchvision("SVHN")


def test_samples_of_torchvision_that_cannot_be_read_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = PIL.Image.fromarray(picture(0))
    samples = [(good, n % 2) for n in range(40)]
    samples[1] = (PIL.Image.open(io.BytesIO(encoded(picture(1), "PNG")[:-40])), 0)
    samples[3] = (good, 7)
    samples[4] = (good.resize((8, 9)), 1)
    source = of_torchvision(monkeypatch, Gone, samples).open(tmp_path)
    assert source.read(0, EVERYTHING)["category"] == 0
    for index, reason in (
        (1, "truncated"),
        (2, "it is gone"),
        (3, "category 7 is not one of the 2 known"),
        (4, r"\(9, 8\) pixels, the others have \(24, 24\)"),
    ):
        with pytest.raises(BrokenSample, match=f"SVHN train {index}: .*{reason}"):
            source.read(index, EVERYTHING)


def test_splits_and_categories_of_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = PIL.Image.fromarray(picture(0))
    word = of_torchvision(monkeypatch, Numbered, [(image, 0), (image, 2)])
    assert word.describe(tmp_path).categories == ("0", "1", "2")
    for made, argument, message in (
        (replace(word, split="extra"), "split", "`SVHN` has no split `extra`: Unknown value"),
        (of_torchvision(monkeypatch, Few, [(image, 0)]), "dataset", "has no categories"),
    ):
        with pytest.raises(WordError, match=message) as caught:
            made.open(tmp_path)
        assert caught.value.argument == argument
    with pytest.raises(WordError, match="split `train` of `SVHN` has no samples") as caught:
        of_torchvision(monkeypatch, Gone, []).open(tmp_path)
    assert caught.value.argument == "split"


def test_classes_that_torchvision_reads_with_pickle_are_not_offered() -> None:
    """Read from its own source, so that a new version is noticed."""
    import inspect

    from torchvision import datasets

    for name in NAMES:
        made = getattr(datasets, name)
        text = inspect.getsource(inspect.getmodule(made))  # type: ignore[arg-type]
        if name not in ("MNIST", "FashionMNIST", "KMNIST"):  # QMNIST in their module uses torch.load
            assert "pickle" not in text, name
            assert "torch.load" not in text, name
        assert name not in PICKLED


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m3i_dsl.data.readers.huggingface.importlib.util.find_spec", lambda name: None)
    with pytest.raises(WordError, match="`huggingface` needs datasets") as caught:
        HuggingFace("some/data").open(tmp_path)
    assert caught.value.help == 'run `pip install "m3ic[huggingface]"`'


def test_hugging_face_datasets_saved_here(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="`huggingface` needs datasets, an extra")
    columns: dict[str, list[Any]] = {
        "image": [{"bytes": encoded(picture(n)), "path": None} for n in range(6)],
        "label": [n % 2 for n in range(6)],
        "said": [f"text {n}" for n in range(6)],
    }
    columns["image"][4] = {"bytes": b"no image", "path": None}
    columns["image"][5] = None
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog"]), said=datasets.Value("string")
    )
    table = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict(train=table, test=table.select(range(3))).save_to_disk(str(tmp_path / "saved"))
    word = HuggingFace("saved", test="test", caption="said", category="label")
    source = word.open(tmp_path)
    assert word.describe(tmp_path).categories == ("cat", "dog")
    assert (len(source), len(source.evaluation())) == (6, 3)
    found = source.read(3, EVERYTHING)
    assert (found["text"], found["category"], found["image"].size) == ("text 3", 1, (24, 24))
    assert source.read(4, frozenset({"category"}))["category"] == 0, "the image is not decoded"
    with pytest.raises(Exception, match="train row 4: not an image"):
        source.read(4, EVERYTHING)
    with pytest.raises(BrokenSample, match="train row 5: it is null"):
        source.read(5, EVERYTHING)
    with pytest.raises(WordError, match="no held-out split") as caught:
        replace(word, test=None).open(tmp_path).evaluation()
    assert caught.value.argument == "dataset"
    table.save_to_disk(str(tmp_path / "one"))
    (tmp_path / "nothing").mkdir()
    for faulty, argument, message in (
        (HuggingFace("saved", caption="text"), "caption", "has no column `text`"),
        (HuggingFace("saved", image="said"), "image", "column `said` of `saved` holds no images"),
        (HuggingFace("saved", split="validation"), "split", "has no split `validation`"),
        (HuggingFace("one", split="validation"), "split", "`one` is one split, "),
        (HuggingFace("nothing"), "dataset", "`nothing` cannot be loaded: "),
    ):
        with pytest.raises(WordError, match=message) as caught:
            faulty.open(tmp_path)
        assert caught.value.argument == argument


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    """Saves a split of images with a column of labels, of the type that the library gives them."""
    datasets = pytest.importorskip("datasets", reason="`huggingface` needs datasets, an extra")

    def save(name: str, labels: list[Any]) -> HuggingFace:
        images = [{"bytes": encoded(picture(n)), "path": None} for n in range(len(labels))]
        table = datasets.Dataset.from_dict({"image": images, "label": labels}).cast_column("image", datasets.Image())
        kept = [n for n, label in enumerate(labels) if label != 77]
        table.select(kept).save_to_disk(str(tmp_path / name))
        return HuggingFace(name, category="label")

    return save


@pytest.mark.parametrize(
    ("labels", "categories"),
    [
        ([1000, 77, 3, 1000, 5], ("3", "5", "1000")),
        (["dog", "cat", "dog", "cat"], ("cat", "dog")),
        ([True, False, True], ("false", "true")),
        ([2.0, 0.0, 2.0], ("0", "2")),
    ],
)
def test_categories_are_the_labels_that_occur(
    tmp_path: Path, saved: Any, labels: list[Any], categories: tuple[str, ...]
) -> None:
    source = saved("saved", labels).open(tmp_path)
    assert source.description().categories == categories
    found = [categories[source.read(n, frozenset({"category"}))["category"]] for n in range(len(source))]
    assert found == [str(int(label) if isinstance(label, float) else label).lower() for label in labels if label != 77]
    assert replace(saved("saved", labels), prompt="a {}").open(tmp_path).read(0, EVERYTHING)["text"] == f"a {found[0]}"


def test_held_out_labels_are_numbered_as_in_training(tmp_path: Path, saved: Any) -> None:
    datasets = pytest.importorskip("datasets", reason="`huggingface` needs datasets, an extra")
    for name, labels in (("a", [7, 9, 30]), ("b", [30, 9]), ("c", [9, 8])):
        saved(name, labels)
    parts = {part: datasets.load_from_disk(str(tmp_path / name)) for part, name in zip("abc", "abc", strict=True)}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "all"))
    word = HuggingFace("all", split="a", test="b", category="label")
    held_out = word.open(tmp_path).evaluation()
    assert [held_out.read(n, frozenset({"category"}))["category"] for n in range(2)] == [2, 1]
    with pytest.raises(WordError, match="test category `8` is not one of the training categories") as caught:
        replace(word, test="c").open(tmp_path).evaluation()
    assert caught.value.argument == "test"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, None, 2], "is null in 1 of 3 rows"),
        ([-1, 2], "holds -1 to 2"),
        ([[1], [2]], "not whole numbers, strings or truth values"),
    ],
)
def test_labels_that_are_no_categories(tmp_path: Path, saved: Any, labels: list[Any], message: str) -> None:
    with pytest.raises(WordError, match=message) as caught:
        saved("saved", labels).open(tmp_path)
    assert caught.value.argument == "category"
