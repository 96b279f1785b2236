"""Tar shards: what a sample is, what is counted, and what is wrong with a shard."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from m3i_dsl.data.readers import tar as module
from m3i_dsl.data.readers import tar_contents, tar_index
from m3i_dsl.data.readers.tar import TarImages
from m3i_dsl.data.readers.tar_contents import OpenShard
from m3i_dsl.data.sources import SourceFault
from m3i_dsl.data.stream import Stream
from m3i_dsl.ir.inputs import FieldInput, ViewInput
from m3i_dsl.vocabulary.kinds import BrokenSample, WordError
from m3i_dsl.vocabulary.modalities import Category, Text
from m3i_dsl.vocabulary.sources.tar import Tar
from tests.data.programs import encoded, picture, program, shared_data
from tests.data.shards import sample, shards, write_tar

EVERYTHING = frozenset({"image", "text", "category"})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("M3IC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_samples_come_in_the_order_of_shards_and_members(tmp_path: Path) -> None:
    shards(tmp_path / "train", [3, 5, 2])
    source = Tar("train/shard-{00000..00002}.tar", caption="txt", category="cls").open(tmp_path)
    assert (len(source), source.shards().tolist()) == (10, [3, 5, 2])  # type: ignore[union-attr]
    for number in (9, 0, 3, 7):
        found = source.read(number, EVERYTHING)
        assert (found["text"], found["category"], found["image"].size) == (f"caption {number}", number % 3, (24, 24))
        assert np.abs(found["image"].pixels.astype(int) - picture(number)).mean() < 8
    assert "image" not in source.read(4, frozenset({"text"}))
    assert isinstance(source, TarImages)
    assert source.name(4) == "shard-00001.tar 000004"
    with pytest.raises(WordError, match="no held-out shards") as caught:
        source.evaluation()
    assert caught.value.argument == "path"


@pytest.mark.parametrize("pattern", ["train", "train/*.tar", "train/shard-{00000,00001}.tar", "file://{}/train/*.tar"])
def test_shards_are_named_by_ranges_lists_patterns_and_folders(tmp_path: Path, pattern: str) -> None:
    shards(tmp_path / "train", [2, 2])
    assert len(Tar(pattern.replace("{}", str(tmp_path))).open(tmp_path)) == 4


def test_fields_of_json_are_texts_and_named_categories(tmp_path: Path) -> None:
    shards(tmp_path / "train", [4])
    word = Tar("train", caption="json.deep.text", category="json.label", test="train")
    source = word.open(tmp_path)
    assert word.describe(tmp_path).categories == ("a", "b", "c")
    assert [source.read(n, EVERYTHING)["category"] for n in range(4)] == [0, 1, 2, 0]
    assert source.read(2, EVERYTHING)["text"] == "json 2"
    assert source.evaluation().read(1, EVERYTHING)["category"] == 1
    named = Tar("train", category="cls", names="json.label", prompt="a photo of a {}")
    assert named.describe(tmp_path).categories == ("a", "b", "c")
    assert named.open(tmp_path).read(1, EVERYTHING)["text"] == "a photo of a b"
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\n")
    assert Tar("train", category="cls", names="names.txt").describe(tmp_path).categories == ("ant", "bee", "cat")


def test_only_the_members_of_the_fields_in_use_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards(tmp_path / "train", [12])
    recipe = program({"images": Tar("train", caption="txt", category="cls")}, 4)
    inputs = (FieldInput("c", "images", "category", Category()), FieldInput("t", "images", "text", Text(), "words"))
    read: list[str] = []
    original = OpenShard.member

    def counted(self: OpenShard, number: int, kind: str) -> bytes:
        read.append(kind)
        return original(self, number, kind)

    monkeypatch.setattr(OpenShard, "member", counted)
    stream = Stream(recipe, inputs[:1], base=tmp_path)
    read.clear()
    assert sorted(stream.batch_at(0)["c"].tolist()) == sorted(n % 3 for n in stream.batch_at(0).samples.tolist())
    assert set(read) == {"cls"}
    Stream(recipe, inputs, base=tmp_path).batch_at(0)
    assert set(read) == {"cls", "txt", "jpg"}, "the header of an image, when a source is opened"


def test_headers_and_labels_are_read_once_for_shards_that_do_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards(tmp_path / "train", [3, 3])
    word = Tar("train", category="cls")
    first = word.describe(tmp_path)
    opened: list[str] = []
    original = tar_index._encoded

    def counted(path: Path) -> bytes:
        opened.append(path.name)
        return original(path)

    monkeypatch.setattr(tar_index, "_encoded", counted)
    assert word.describe(tmp_path) == first
    assert opened == []
    write_tar(tmp_path / "train" / "shard-00001.tar", {f"{n}": sample(n) for n in range(5)})
    changed = word.describe(tmp_path)
    assert (changed.samples, opened) == (8, ["shard-00001.tar"])
    assert changed.fingerprint != first.fingerprint


def test_sizes_beside_the_shards_spare_counting(tmp_path: Path, cache: Path) -> None:
    shards(tmp_path / "train", [3, 5])
    (tmp_path / "train" / "sizes.json").write_text(json.dumps({"shard-00000.tar": 3, "shard-00001.tar": 6}))
    source = Tar("train", canvas=16).open(tmp_path)
    assert len(source) == 9
    assert "image" in source.read(7, EVERYTHING)
    with pytest.raises(BrokenSample, match=r"shard-00001\.tar sample 5: the shard has 5 samples, not 6"):
        source.read(8, EVERYTHING)
    assert not list(cache.glob("*.contents"))


def test_a_member_that_is_missing_makes_a_broken_sample(tmp_path: Path) -> None:
    samples = {"a": sample(0), "b": sample(1), "c": sample(2), "d": sample(3)}
    del samples["b"]["jpg"]
    samples["c"]["cls"] = b"7"
    samples["d"]["jpg"] = samples["d"]["jpg"][:200]
    write_tar(tmp_path / "x.tar", samples)
    (tmp_path / "names").write_text("a\nb\nc\n")
    source = Tar("x.tar", category="cls", names="names").open(tmp_path)
    assert source.read(1, frozenset({"category"}))["category"] == 1
    for index, reason in (
        (1, "x.tar b: it has no image; there is `.cls`, `.json`, `.txt`"),
        (2, "`7` is not one of the 3 known"),
        (3, "x.tar d: "),
    ):
        with pytest.raises(BrokenSample, match=reason):
            source.read(index, EVERYTHING)


def test_a_shard_that_is_cut_off_while_it_is_open_breaks_what_is_gone(tmp_path: Path) -> None:
    shards(tmp_path / "train", [4])
    source = Tar("train").open(tmp_path)
    assert "image" in source.read(0, EVERYTHING)
    cut(tmp_path / "train" / "shard-00000.tar", 0.3)
    with pytest.raises(BrokenSample, match=r"000003: its `\.jpg` is cut off"):
        source.read(3, EVERYTHING)


def test_a_shard_that_could_not_be_opened_is_not_tried_for_each_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards(tmp_path / "train", [2, 2])
    source = Tar("train").open(tmp_path)
    assert isinstance(source, TarImages)
    source._forget()
    (tmp_path / "train" / "shard-00001.tar").unlink()
    tried: list[Path] = []

    def counted(path: Path) -> OpenShard:
        tried.append(path)
        return OpenShard(path)

    monkeypatch.setattr(module, "OpenShard", counted)
    for index in (2, 3, 2):
        with pytest.raises(BrokenSample, match="its shard cannot be read"):
            source.read(index, EVERYTHING)
    assert len(tried) == 1


def cut(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))


@pytest.mark.parametrize("workers", [0, 1])
def test_shards_lost_and_cut_off_while_training_are_broken_samples(tmp_path: Path, workers: int) -> None:
    shards(tmp_path / "train", [8, 8, 8])
    recipe = program({"images": Tar("train", category="cls")}, 4)
    inputs = (ViewInput("x1", "view1"), FieldInput("c", "images", "category", Category()))
    stream = Stream(recipe, inputs, base=tmp_path, workers=workers)
    source = stream.sources["images"]
    assert isinstance(source, TarImages)
    source._forget()  # closes the shards, or they would outlive their names
    (tmp_path / "train" / "shard-00001.tar").unlink()
    cut(tmp_path / "train" / "shard-00002.tar", 0.5)
    batches = list(stream.batches(0, 6))
    assert all(batch["x1"].shape[0] == 4 for batch in batches)
    shown = {s for batch in batches for s in batch.samples.tolist()}
    assert shown <= set(range(8)) | set(range(16, 20))
    assert set(range(8)) <= shown
    named = {str(broken).split(":")[0] for broken in stream.broken.first}
    assert "shard-00001.tar sample 0" in named
    assert any(name.startswith("shard-00002.tar sample") for name in named)
    alone = Stream(program({"images": Tar("train/shard-00000.tar", category="cls")}, 4), inputs, base=tmp_path)
    assert alone.batch_at(0).broken == ()


def _cut_off(root: Path) -> Tar:
    cut(root / "train" / "shard-00001.tar", 0.6)
    return Tar("train")


def _no_tar(root: Path) -> Tar:
    (root / "train" / "shard-00001.tar").write_bytes(b"no tar" * 500)
    return Tar("train")


def _sizes_lack_one(root: Path) -> Tar:
    (root / "train" / "sizes.json").write_text('{"shard-00000.tar": 4}')
    return Tar("train")


def _numbers_and_names(root: Path) -> Tar:
    write_tar(root / "x.tar", {"a": {**sample(0), "cls": b"5"}, "b": {**sample(1), "cls": b"owl"}})
    return Tar("x.tar", category="cls")


def _none(root: Path) -> Tar:
    write_tar(root / "empty.tar", {})
    return Tar("empty.tar")


@pytest.mark.parametrize(
    ("make", "argument", "message"),
    [
        (lambda root: Tar("train/shard-{00000..00002}.tar"), "path", "there is no `train/shard-00002.tar`"),
        (lambda root: Tar("train/shard-{3..1}.tar"), "path", "`{3..1}` counts down"),
        (lambda root: Tar("train/shard-{x}.tar"), "path", "`{x}` in `train/shard-{x}.tar` is neither a range nor"),
        (lambda root: Tar("train/shard-{00000.tar"), "path", "has no other"),
        (lambda root: Tar("train/shard-00000}.tar"), "path", "has no other"),
        (_none, "path", "`empty.tar` has no samples"),
        (_numbers_and_names, "category", "categories are numbers and names, such as 5 and `owl`"),
        (lambda root: Tar("s4://bucket/{0..3}.tar"), "path", "`s4://` is no protocol that can be read"),
        (lambda root: Tar("train", category="label"), "category", "no sample has a category `label`"),
        (lambda root: Tar("train", sizes="none.json"), "sizes", "there is no `none.json`"),
        (_cut_off, "path", "shard `shard-00001.tar` is damaged: it is cut off within `00000"),
        (_no_tar, "path", "shard `shard-00001.tar` cannot be read: "),
        (_sizes_lack_one, "path", "has no size of shard 'shard-00001.tar'"),
    ],
)
def test_faults_are_at_the_argument(tmp_path: Path, make: Callable[[Path], Tar], argument: str, message: str) -> None:
    shards(tmp_path / "train", [4, 4])
    with pytest.raises(WordError) as caught:
        make(tmp_path).open(tmp_path)
    assert message in caught.value.message
    assert caught.value.argument == argument


def test_more_categories_and_kinds_of_members_than_there_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards(tmp_path / "train", [4])
    monkeypatch.setattr(tar_contents, "MOST_CATEGORIES", 2)
    with pytest.raises(WordError, match="`cls` has 3 values: it is no category") as caught:
        Tar("train", category="cls").open(tmp_path)
    assert caught.value.argument == "category"
    shards(tmp_path / "more", [4])
    monkeypatch.setattr(tar_index, "MOST_KINDS", 3)
    with pytest.raises(WordError, match="it has 4 kinds of members; names before the first dot must name the sample"):
        Tar("more").open(tmp_path)


def test_missing_extras_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m3i_dsl.data.readers.places.importlib.util.find_spec", lambda name: None)
    with pytest.raises(WordError, match="`s3://` needs s3fs, which is not installed") as caught:
        Tar("s3://bucket/{00000..41407}.tar").open(tmp_path)
    assert caught.value.help == 'run `pip install "m3ic[s3]"`'
    assert caught.value.argument == "path"


def test_images_of_several_kinds_and_hidden_members(tmp_path: Path) -> None:
    samples = {
        "deep/folder.d/a": {"png": encoded(picture(0), "PNG"), "seg.png": b"not read"},
        "deep/folder.d/b": {"webp": encoded(picture(1), "WEBP")},
        "deep/folder.d/.c": {"jpg": b"left by some systems"},
    }
    source = Tar(str(write_tar(tmp_path / "x.tar", samples))).open(tmp_path)
    assert len(source) == 2
    assert source.read(1, EVERYTHING)["image"].size == (24, 24)


def test_the_real_imagenet_sample() -> None:
    root = shared_data("imagenet_sample")
    word = Tar("shard-{00000..00003}.tar", caption="txt", category="cls", names="json.name", canvas=64)
    found = word.describe(root)
    assert (found.samples, len(found.categories), found.categories[0]) == (1000, 1000, "tench")
    recipe = program({"images": word}, 100)
    stream = Stream(recipe, (FieldInput("c", "images", "category", Category()),), base=root)
    shown = [label for batch in stream.batches(0, 10) for label in batch["c"].tolist()]
    assert sorted(shown) == list(range(1000)), "one image a class"


def test_a_source_smaller_than_its_lanes_is_smaller_than_a_batch(tmp_path: Path) -> None:
    shards(tmp_path / "train", [1] * 9)
    with pytest.raises(SourceFault, match="9 samples, fewer than a batch of 16"):
        Stream(program({"images": Tar("train")}, 16), (ViewInput("x", "view1"),), base=tmp_path)
