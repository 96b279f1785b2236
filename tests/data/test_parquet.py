"""Parquet sources in the Hugging Face layout."""

from __future__ import annotations

import json
import pickle  # noqa: TID251  # what torch sends a dataset to a spawned worker with
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from m3i_dsl.data.readers import parquet as module
from m3i_dsl.data.readers import parquet_columns
from m3i_dsl.data.readers.images import decode
from m3i_dsl.vocabulary.kinds import BrokenSample, WordError
from m3i_dsl.vocabulary.modalities import Category, Image, Text
from m3i_dsl.vocabulary.sources import Parquet
from tests.data.programs import encoded, picture, shared_data

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})

EVERYTHING = frozenset({"image", "text", "category"})


def write(path: Path, rows: int, *, first: int = 0, names: tuple[str, ...] | None = None, **columns: Any) -> Path:
    """`rows` pictures with row groups of 4; `names` become Hugging Face's class names of column `label`."""
    content: dict[str, Any] = {
        "image": [{"bytes": encoded(picture(first + row), "PNG"), "path": f"{row}.png"} for row in range(rows)],
        "caption": [f"picture {first + row}" for row in range(rows)],
        "label": [(first + row) % 3 for row in range(rows)],
    }
    table = pa.table(content | columns)
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=4)
    return path


def test_rows_of_several_files_in_order(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train-00000.parquet", 10, names=("cat", "dog", "owl"))
    write(tmp_path / "data" / "train-00001.parquet", 7, first=10, names=("cat", "dog", "owl"))
    write(tmp_path / "data" / "other.parquet", 1)
    source = Parquet("data/train-*.parquet", caption="caption", category="label")
    assert source.fields() == {"image": Image(), "text": Text(), "category": Category()}
    described = source.describe(tmp_path)
    assert (described.samples, described.categories) == (17, ("cat", "dog", "owl"))
    dataset = source.open(tmp_path)
    for index in (0, 3, 4, 9, 10, 16):
        sample = dataset.read(index, EVERYTHING)
        assert np.array_equal(sample["image"].pixels, picture(index))
        assert (sample["text"], sample["category"]) == (f"picture {index}", index % 3)
    assert isinstance(dataset, module.ParquetImages)
    assert dataset.name(12) == "train-00001.parquet row 2"
    with pytest.raises(WordError, match="no held-out rows") as caught:
        dataset.evaluation()
    assert caught.value.argument == "path"
    assert len(Parquet("data").open(tmp_path)) == 18


def test_bytes_paths_and_large_types(tmp_path: Path) -> None:
    stored = [encoded(picture(row), "PNG") for row in range(3)]
    write(tmp_path / "a.parquet", 3, image=pa.array(stored, pa.large_binary()))
    assert np.array_equal(Parquet("a.parquet").open(tmp_path).read(2, EVERYTHING)["image"].pixels, picture(2))
    (tmp_path / "beside.png").write_bytes(stored[1])
    write(tmp_path / "b.parquet", 3, image=pa.array([{"bytes": None, "path": "beside.png"}] * 3, IMAGE))
    assert np.array_equal(Parquet("b.parquet").open(tmp_path).read(0, EVERYTHING)["image"].pixels, picture(1))


def test_a_random_read_keeps_few_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", 40)
    dataset = Parquet("a.parquet").open(tmp_path)
    assert isinstance(dataset, module.ParquetImages)
    dataset.read(0, EVERYTHING)
    one = dataset._bytes
    monkeypatch.setattr(module, "CACHE_BYTES", 3 * one)
    for index in (39, 1, 20, 11, 0, 33, 20):
        assert np.array_equal(dataset.read(index, EVERYTHING)["image"].pixels, picture(index))
    assert dataset._bytes <= 3 * one
    assert dataset._bytes == sum(table.nbytes for table in dataset._tables.values())


def test_opening_reads_no_images_but_a_few_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", 80)
    read: list[int] = []
    original = module.ParquetImages._column

    def counted(self: module.ParquetImages, group: int, column: str) -> Any:
        read.append(group)
        return original(self, group, column)

    monkeypatch.setattr(module.ParquetImages, "_column", counted)
    Parquet("a.parquet", category="label").open(tmp_path)
    assert len(set(read)) <= 8 < 20


def test_categories_that_are_strings(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", 4, label=["owl", "cat", "owl", "dog"])
    write(tmp_path / "test.parquet", 2, label=["owl", "dog"])
    dataset = Parquet("train.parquet", test="test.parquet", category="label").open(tmp_path)
    assert [dataset.read(index, EVERYTHING)["category"] for index in range(4)] == [2, 0, 2, 1]
    test = dataset.evaluation()
    assert [test.read(index, EVERYTHING)["category"] for index in range(2)] == [2, 1]


def test_whole_numbers_without_names_name_themselves(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", 4)
    assert Parquet("train.parquet", category="label").describe(tmp_path).categories == ("0", "1", "2")


def test_test_categories_are_numbered_by_name(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", 6, names=("cat", "dog", "owl"))
    write(tmp_path / "test.parquet", 3, names=("owl", "cat", "dog"))
    test = Parquet("train.parquet", test="test.parquet", category="label").open(tmp_path).evaluation()
    assert [test.read(index, EVERYTHING)["category"] for index in range(3)] == [2, 0, 1]


def test_damaged_rows_are_broken_samples_with_a_name(tmp_path: Path) -> None:
    rows: list[object] = [{"bytes": encoded(picture(row), "PNG"), "path": None} for row in range(6)]
    rows[1] = None
    rows[2] = {"bytes": b"no image", "path": None}
    rows[4] = {"bytes": None, "path": None}
    captions = ["a", "b", "c", "d", "e", None]
    write(tmp_path / "a.parquet", 6, image=rows, caption=captions)
    dataset = Parquet("a.parquet", caption="caption").open(tmp_path)
    for index, reason in (
        (1, "it is null"),
        (2, "not an image"),
        (4, "neither bytes nor a path"),
        (5, "column `caption` is null"),
    ):
        with pytest.raises(BrokenSample, match=reason) as caught:
            dataset.read(index, EVERYTHING)
        assert caught.value.name == f"a.parquet row {index}"
    assert "image" in dataset.read(5, frozenset({"image"}))


@pytest.mark.parametrize(
    ("source", "argument", "message", "help_"),
    [
        (Parquet("trian.parquet"), "path", "there is no `trian.parquet`", "did you mean `train.parquet`?"),
        (Parquet("*.pq"), "path", r"no file matches `\*.pq`", "relative to the recipe's folder"),
        (Parquet("empty.parquet"), "path", "`empty.parquet` has no rows", None),
        (Parquet("text.parquet"), "path", r"`text.parquet` is not a Parquet file", None),
        (Parquet("train.parquet", image="imgae"), "image", "has no column `imgae`", "did you mean `image`?"),
        (Parquet("train.parquet", image="label"), "image", "has int64, not images", None),
        (Parquet("train.parquet", caption="capt"), "caption", "has no column `capt`", "did you mean `caption`?"),
        (Parquet("train.parquet", caption="label"), "caption", "has int64, not texts", None),
        (Parquet("train.parquet", category="labels"), "category", "has no column `labels`", "did you mean `label`?"),
        (Parquet("train.parquet", category="image"), "category", "not whole numbers, strings or truth values", None),
        (Parquet("negative.parquet", category="label"), "category", "holds -1 to 1", "count from 0"),
        (Parquet("nulls.parquet", category="label"), "category", "is null in 1 of 3 rows", "must be left out"),
    ],
)
def test_a_fault_points_to_its_argument(
    tmp_path: Path, source: Parquet, argument: str, message: str, help_: str | None
) -> None:
    write(tmp_path / "train.parquet", 4)
    write(tmp_path / "empty.parquet", 0)
    (tmp_path / "text.parquet").write_text("a text")
    write(tmp_path / "negative.parquet", 3, label=[0, -1, 1])
    write(tmp_path / "nulls.parquet", 3, label=[0, None, 1])
    for open_ in (source.describe, source.open):
        with pytest.raises(WordError, match=message) as caught:
            open_(tmp_path)
        assert caught.value.argument == argument
        assert help_ is None or help_ in (caught.value.help or "")


def test_a_fault_of_the_test_split_points_to_test(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", 6, label=["cat", "dog"] * 3)
    write(tmp_path / "test.parquet", 2, label=["cat", "dig"])
    with pytest.raises(WordError, match="test category `dig`") as caught:
        Parquet("train.parquet", test="test.parquet", category="label").open(tmp_path).evaluation()
    assert (caught.value.argument, caught.value.help) == ("test", "did you mean `dog`?")
    with pytest.raises(WordError, match=r"there is no `tset\.parquet`") as caught:
        Parquet("train.parquet", test="tset.parquet").open(tmp_path).evaluation()
    assert caught.value.argument == "test"


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 6)
    source = Parquet("a.parquet")
    first = source.describe(tmp_path).fingerprint
    assert source.describe(tmp_path).fingerprint == first
    write(tmp_path / "a.parquet", 6, first=1)
    assert source.describe(tmp_path).fingerprint != first


def test_a_dataset_travels_to_another_process_without_open_files(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 6, names=("cat", "dog", "owl"))
    dataset = Parquet("a.parquet", category="label").open(tmp_path)
    dataset.read(1, EVERYTHING)
    copy = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(copy.read(5, EVERYTHING)["image"].pixels, picture(5))
    assert copy.read(5, EVERYTHING)["category"] == 2


def test_real_cifar10() -> None:
    root = shared_data("cifar10")
    source = Parquet("train.parquet", test="test.parquet", category="label")
    described = source.describe(root)
    assert described.samples == 50_000
    assert described.categories[:3] == ("airplane", "automobile", "bird")
    dataset = source.open(root)
    table = pq.ParquetFile(root / "train.parquet").read_row_group(37)
    for row in (0, 512, 999):
        sample = dataset.read(37_000 + row, EVERYTHING)
        assert sample["category"] == table.column("label")[row].as_py()
        assert np.array_equal(sample["image"].pixels, decode(table.column("image")[row].as_py()["bytes"], None)[0])
        assert sample["image"].size == (32, 32)
    assert len(dataset.evaluation()) == 10_000


def test_a_page_that_fails_its_checksum_is_a_broken_sample(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 4, label=["an owl", "a cat"] * 2)
    table = pq.read_table(tmp_path / "a.parquet")
    pq.write_table(table, tmp_path / "a.parquet", compression="none", write_page_checksum=True, use_dictionary=False)
    content = (tmp_path / "a.parquet").read_bytes()
    at = content.index(encoded(picture(2), "PNG")) + 300
    source = Parquet("a.parquet").open(tmp_path)
    (tmp_path / "a.parquet").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    source = pickle.loads(pickle.dumps(source))
    with pytest.raises(BrokenSample, match="row group"):
        source.read(2, frozenset({"image"}))
    (tmp_path / "a.parquet").write_bytes(content.replace(b"an owl", b"an elk"))
    with pytest.raises(WordError, match=r"column `label` of `a\.parquet` cannot be read") as caught:
        Parquet("a.parquet", category="label").open(tmp_path)
    assert caught.value.argument == "category"


def test_a_string_that_is_no_text_is_said(tmp_path: Path) -> None:
    texts = pa.array([b"one", b"tw\xff", b"one"], pa.binary()).view(pa.string())
    write(tmp_path / "a.parquet", 3, caption=texts, label=texts)
    dataset = Parquet("a.parquet", caption="caption").open(tmp_path)
    assert dataset.read(2, frozenset({"text"}))["text"] == "one"
    with pytest.raises(BrokenSample, match="row 1: column `caption`: 'utf-8' codec"):
        dataset.read(1, frozenset({"text"}))
    with pytest.raises(WordError, match="column `label` holds what is no text") as caught:
        Parquet("a.parquet", category="label").open(tmp_path)
    assert caught.value.argument == "category"


def test_a_column_of_too_many_values_is_no_category(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_columns, "MOST_CATEGORIES", 2)
    write(tmp_path / "a.parquet", 3)
    with pytest.raises(WordError, match="column `label` has 3 values: it is no category") as caught:
        Parquet("a.parquet", category="label").open(tmp_path)
    assert caught.value.argument == "category"


def test_a_column_that_is_shorter_than_the_footer_says_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.parquet", 6)
    dataset = Parquet("a.parquet").open(tmp_path)
    column, labels = module.ParquetImages._column, module.read_labels
    monkeypatch.setattr(module.ParquetImages, "_column", lambda *of: column(*of)[:-1])
    with pytest.raises(BrokenSample, match="column `image` of its row group has 3 rows, not 4"):
        dataset.read(0, frozenset({"image"}))

    def shorter(*of: Any) -> Any:
        found = labels(*of)
        return replace(found, indices=found.indices[:-1])

    monkeypatch.setattr(module, "read_labels", shorter)
    with pytest.raises(WordError, match="is damaged: column `label` has 5 rows, not 6") as caught:
        Parquet("a.parquet", category="label").open(tmp_path)
    assert caught.value.argument == "path"


def test_a_footer_whose_names_are_no_text_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 2)
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content.replace(b"image", b"im\xffge"))
    with pytest.raises(WordError) as caught:
        Parquet("a.parquet").open(tmp_path)
    assert caught.value.argument == "path"
