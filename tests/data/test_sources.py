"""Sources: what they hold, and how each fault points to the argument that causes it."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from m3i_dsl.data.sources import SourceFault, open_sources
from m3i_dsl.vocabulary.kinds import BrokenSample, Source, WordError
from m3i_dsl.vocabulary.modalities import Category, Image, Text
from m3i_dsl.vocabulary.sources import Embedded, Folder
from m3i_dsl.vocabulary.sources.mixture import MixtureOf
from tests.data.programs import digits, encoded, image_folder, picture, program

EVERYTHING = frozenset({"image", "text", "category"})


# --- embedded ---------------------------------------------------------------------------------------------------------


def test_digits_hold_out_every_fifth_sample() -> None:
    source = Embedded("digits")
    assert source.fields() == {"image": Image(), "text": Text(), "category": Category()}
    train = source.open(Path())
    test = train.evaluation()
    assert (len(train), len(test)) == (1438, 359)
    description = source.describe(Path())
    assert description.samples == 1438
    assert description.categories == tuple("0123456789")
    assert description == source.describe(Path("/elsewhere"))
    shown = {train.read(index, EVERYTHING)["image"].pixels.tobytes() for index in range(len(train))}
    held_out = [test.read(index, EVERYTHING)["image"].pixels.tobytes() for index in range(len(test))]
    assert sum(image in shown for image in held_out) < 3


def test_digits_are_the_real_ones_with_captions_that_vary() -> None:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    train = Embedded("digits").open(Path())
    fifth = train.read(4, EVERYTHING)  # the sixth of all: the fifth is held out
    assert fifth["category"] == labels[5]
    assert fifth["image"].size == (8, 8)
    assert np.array_equal(fifth["image"].pixels[:, :, 1], np.rint(pixels[5].reshape(8, 8) * 255 / 16))
    captions: dict[int, Counter[str]] = {}
    for index in range(len(train)):
        sample = train.read(index, EVERYTHING)
        captions.setdefault(sample["category"], Counter())[sample["text"]] += 1
    assert set(captions) == set(range(10))
    assert all(len(of_category) == 8 for of_category in captions.values())
    of_three = set(captions[3])
    assert "a handwritten digit three" in of_three
    assert not of_three & set(captions[5])


def test_only_the_fields_asked_for_are_read() -> None:
    sample = Embedded("digits").open(Path()).read(0, frozenset({"category"}))
    assert sample.keys() == {"category"}


# --- folder -----------------------------------------------------------------------------------------------------------


def test_a_folder_of_categories(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"cat": 3, "dog": 2})
    image_folder(tmp_path / "test", {"dog": 1})
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / ".cache" / "hidden.png").write_bytes(encoded(picture(9), "PNG"))
    source = Folder("train", test="test", caption=True)
    assert source.fields() == {"image": Image(), "text": Text(), "category": Category()}
    described = source.describe(tmp_path)
    assert (described.samples, described.categories) == (5, ("cat", "dog"))
    dataset = source.open(tmp_path)
    sample = dataset.read(3, EVERYTHING)
    assert (sample["category"], sample["text"], sample["image"].size) == (1, "a picture of dog, number 0", (24, 24))
    assert np.array_equal(sample["image"].pixels, picture(3))
    test = dataset.evaluation()
    assert len(test) == 1
    assert test.read(0, EVERYTHING)["category"] == 1, "test categories are numbered as in training"


def test_a_flat_folder_and_its_fingerprint(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(picture(number)))
    source = Folder(".", category=False)
    assert source.fields() == {"image": Image()}
    first = source.describe(tmp_path)
    assert (first.samples, first.categories) == (3, ())
    assert source.describe(tmp_path) == first
    (tmp_path / "2.jpg").rename(tmp_path / "3.jpg")
    assert source.describe(tmp_path).fingerprint != first.fingerprint


def test_a_canvas_takes_images_of_any_size(tmp_path: Path) -> None:
    image_folder(tmp_path / "small", {"a": 1}, size=(20, 30))
    image_folder(tmp_path / "large", {"a": 1}, size=(50, 40))
    (tmp_path / "large" / "a" / "00.png").rename(tmp_path / "small" / "a" / "01.png")
    dataset = Folder("small", canvas=16).open(tmp_path)
    samples = [dataset.read(index, EVERYTHING) for index in range(2)]
    assert [sample["image"].size for sample in samples] == [(20, 30), (50, 40)]
    assert [sample["image"].pixels.shape for sample in samples] == [(16, 16, 3)] * 2
    stored = Folder("small").open(tmp_path)
    assert [stored.read(index, EVERYTHING)["image"].pixels.shape for index in range(2)] == [(20, 30, 3), (50, 40, 3)]
    assert (stored.image_size(), dataset.image_size()) == (None, (16, 16))


@pytest.mark.parametrize(("size", "travels"), [((32, 32), True), ((33, 32), False)])
def test_small_pictures_of_one_size_travel_whole_and_another_among_them_is_broken(
    tmp_path: Path, size: tuple[int, int], travels: bool
) -> None:
    root = image_folder(tmp_path / "train", {"a": 40}, size=size)
    (root / "a" / "17.png").write_bytes(encoded(picture(0, (10, 12)), "PNG"))
    dataset = Folder("train").open(tmp_path)
    assert dataset.image_size() == (size if travels else None)
    if not travels:
        assert dataset.read(17, EVERYTHING)["image"].pixels.shape == (10, 12, 3)
        return
    with pytest.raises(BrokenSample, match="10x12 pixels, the others have 32x32") as caught:
        dataset.read(17, EVERYTHING)
    assert caught.value.name == "a/17.png"


def _no_caption(root: Path) -> None:
    image_folder(root / "train", {"a": 2})
    (root / "train" / "a" / "01.txt").unlink()


def _nothing(root: Path) -> None:
    (root / "train").mkdir()


def _file(root: Path) -> None:
    (root / "train").write_text("x")


def _unreadable(root: Path) -> None:
    (root / "train" / "a").mkdir(parents=True)
    (root / "train" / "a" / "0.jpg").write_text("not an image")


def _good(root: Path) -> None:
    image_folder(root / "train", {"cat": 2})
    image_folder(root / "test", {"cta": 1})


def _flat(root: Path) -> None:
    (root / "train").mkdir()
    (root / "train" / "0.png").write_bytes(encoded(picture(0), "PNG"))


def _loop(root: Path) -> None:
    (root / "train").symlink_to("train")


def _pipe(root: Path) -> None:
    os.mkfifo(root / "train")


@pytest.mark.parametrize(
    ("prepare", "source", "argument", "message", "help_"),
    [
        (_good, Folder("trian"), "path", "there is no `trian`", "did you mean `train`"),
        (_good, Folder("far/away"), "path", "there is no `far/away`", "there is no folder"),
        (_nothing, Folder("train"), "path", "`train` has no images", ".jpg"),
        (_file, Folder("train"), "path", "is a file, not a folder", None),
        (_loop, Folder("train"), "path", "`train` cannot be read: Too many levels of symbolic links", None),
        (_pipe, Folder("train"), "path", "`train` is neither a file nor a folder", None),
        (_flat, Folder("train"), "path", "`0.png` is in no category folder", "category: false"),
        (_no_caption, Folder("train", caption=True), "caption", "`a/01.png` has no caption", "a/01.txt"),
        (_unreadable, Folder("train"), "path", "none of the images probed can be read", "a/0.jpg"),
    ],
)
def test_a_fault_of_a_folder_points_to_its_argument(
    tmp_path: Path, prepare: object, source: Source, argument: str, message: str, help_: str | None
) -> None:
    prepare(tmp_path)  # type: ignore[operator]
    for open_ in (source.describe, source.open):
        with pytest.raises(WordError, match=message) as caught:
            open_(tmp_path)
        assert caught.value.argument == argument
        assert help_ is None or help_ in (caught.value.help or "")


def test_an_image_that_is_gone_makes_a_broken_sample(tmp_path: Path) -> None:
    _good(tmp_path)
    source = Folder("train", canvas=16).open(tmp_path)
    (tmp_path / "train" / "cat" / "01.png").unlink()
    with pytest.raises(BrokenSample, match="No such file") as caught:
        source.read(1, EVERYTHING)
    assert caught.value.name == "cat/01.png"


def test_a_caption_that_is_no_text_makes_a_broken_sample(tmp_path: Path) -> None:
    _good(tmp_path)
    (tmp_path / "train" / "cat" / "01.txt").write_bytes(b"\xff")
    source = Folder("train", canvas=16, caption=True).open(tmp_path)
    with pytest.raises(BrokenSample, match="its caption cannot be read: ") as caught:
        source.read(1, EVERYTHING)
    assert caught.value.name == "cat/01.png"


def test_a_folder_within_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _good(tmp_path)
    original = os.scandir

    def refuse(folder: Path) -> object:
        if folder.name == "cat":
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read every folder
    with pytest.raises(WordError, match="train/cat` cannot be read: Permission denied") as caught:
        Folder("train").open(tmp_path)
    assert caught.value.argument == "path"


def test_a_fault_of_the_test_folder_points_to_test(tmp_path: Path) -> None:
    _good(tmp_path)
    with pytest.raises(WordError, match="test category `cta` is not one of the training categories") as caught:
        Folder("train", test="test").open(tmp_path).evaluation()
    assert (caught.value.argument, caught.value.help) == ("test", "did you mean `cat`?")
    with pytest.raises(WordError, match="has no held-out images"):
        Folder("train").open(tmp_path).evaluation()


# --- opening for a program --------------------------------------------------------------------------------------------


def test_a_fault_says_which_data_it_is_of(tmp_path: Path) -> None:
    with pytest.raises(SourceFault, match="there is no embedded data") as caught:
        open_sources(program({"letters": Embedded("letters")}, 4), ["letters"], tmp_path)
    assert (caught.value.data, caught.value.argument) == ("letters", "dataset")
    assert list(open_sources(digits(), ["digits"], tmp_path)) == ["digits"]
    with pytest.raises(WordError, match="a mixture is of other data"):
        MixtureOf().open(tmp_path)
