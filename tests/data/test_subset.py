"""`limit` and `prompt` of folders and Parquet files: which samples, and which texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from m3i_dsl.data.readers.subset import chosen
from m3i_dsl.vocabulary.kinds import Source, WordError
from m3i_dsl.vocabulary.modalities import Category, Image, Text
from m3i_dsl.vocabulary.sources import Folder, Parquet
from tests.data.programs import image_folder
from tests.data.test_parquet import write

EVERYTHING = frozenset({"image", "text", "category"})


def test_a_smaller_choice_is_part_of_a_larger_one() -> None:
    small, large = chosen(5000, 100), chosen(5000, 1000)
    assert (len(small), len(large)) == (100, 1000)
    assert set(small) < set(large)
    assert np.array_equal(np.sort(large), large)
    assert np.array_equal(chosen(7, 10), np.arange(7))
    assert np.array_equal(chosen(5000, 100), small), "it is a function of positions"


def test_a_choice_is_spread_evenly() -> None:
    """Of sources sorted by category, and of those that alternate, every category keeps its share."""
    place = chosen(10_000, 2000)
    for share in (np.bincount(place // 1000), np.bincount(place % 10)):
        assert share.sum() == 2000
        assert np.abs(share - 200).max() < 4 * np.sqrt(2000 * 0.1 * 0.9)


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_a_limit_cuts_both_splits(tmp_path: Path, kind: str) -> None:
    image_folder(tmp_path / "train", {"cat": 6, "dog": 6, "owl": 6})
    image_folder(tmp_path / "test", {"cat": 2, "dog": 9, "owl": 1})
    write(tmp_path / "train.parquet", 18, names=("cat", "dog", "owl"))
    write(tmp_path / "test.parquet", 12, names=("cat", "dog", "owl"))
    whole: Source
    cut: Source
    if kind == "folder":
        whole, cut = Folder("train", test="test"), Folder("train", test="test", limit=8)
    else:
        whole = Parquet("train.parquet", test="test.parquet", category="label")
        cut = Parquet("train.parquet", test="test.parquet", category="label", limit=8)
    described = cut.describe(tmp_path)
    assert (described.samples, described.categories) == (8, ("cat", "dog", "owl"))
    for all_, some in (
        (whole.open(tmp_path), cut.open(tmp_path)),
        (whole.open(tmp_path).evaluation(), cut.open(tmp_path).evaluation()),
    ):
        assert len(some) == 8
        places = chosen(len(all_), 8)
        for index, place in enumerate(places.tolist()):
            ours, theirs = some.read(index, EVERYTHING), all_.read(place, EVERYTHING)
            assert np.array_equal(ours["image"].pixels, theirs["image"].pixels)
            assert ours["category"] == theirs["category"]


def test_a_limit_above_the_number_of_samples_takes_all(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"cat": 3})
    source = Folder("train", limit=100)
    assert source.describe(tmp_path).samples == len(source.open(tmp_path)) == 3


def test_a_prompt_is_the_text_of_a_category(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"barn_owl": 1, "cat": 1})
    write(tmp_path / "train.parquet", 3, names=("barn_owl", "cat", "dog"))
    for source in (
        Folder("train", prompt="a photo of a {}."),
        Parquet("train.parquet", category="label", prompt="a photo of a {}."),
    ):
        assert source.fields() == {"image": Image(), "text": Text(), "category": Category()}
        source.check()
        dataset = source.open(tmp_path)
        assert [dataset.read(index, EVERYTHING)["text"] for index in range(2)] == [
            "a photo of a barn owl.",
            "a photo of a cat.",
        ]
        assert "text" not in dataset.read(0, frozenset({"image"}))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Folder("x", prompt="a photo"), "has no single place for the category name"),
        (Folder("x", prompt="{} or {}"), "has no single place for the category name"),
        (Folder("x", prompt="a {}", caption=True), "`caption` and `prompt` both give the field `text`"),
        (Folder("x", prompt="a {}", category=False), "`prompt` needs categories"),
        (Parquet("x", prompt="a {}"), "`prompt` needs categories"),
        (Parquet("x", prompt="a {}", category="label", caption="text"), "`caption` and `prompt` both"),
    ],
)
def test_a_prompt_that_cannot_be_used(source: Source, message: str) -> None:
    with pytest.raises(WordError, match=message) as caught:
        source.check()
    assert caught.value.argument == "prompt"
    assert caught.value.help
