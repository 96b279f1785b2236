"""What people's files are: pixels, labels and captions of all kinds, and what cannot be read said with its reason."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from m3i_dsl.data.readers.cache import Cache
from m3i_dsl.data.readers.fingerprints import WHOLE
from m3i_dsl.data.readers.images import Unreadable, decode, picture_of
from m3i_dsl.data.readers.tar_contents import label_of
from m3i_dsl.data.stream import Stream
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.ir.inputs import FieldInput, ViewInput
from m3i_dsl.vocabulary.kinds import BrokenSample, Dataset, WordError
from m3i_dsl.vocabulary.modalities import Category, Text
from m3i_dsl.vocabulary.sources.folder import Folder
from m3i_dsl.vocabulary.sources.parquet import Parquet
from m3i_dsl.vocabulary.sources.tar import Tar
from tests.data.programs import encoded, image_folder, picture, program
from tests.data.shards import sample, write_tar


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("M3IC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# --- pixels -----------------------------------------------------------------------------------------------------------


def stored_as(image: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "TIFF"])
def test_an_image_is_turned_as_its_exif_says(orientation: int, format_: str) -> None:
    """What is stored is the seen image turned the other way, written out here without Pillow."""
    seen = picture(0, (20, 30))
    inverse: Mapping[int, NDArray[np.uint8]] = {
        1: seen,
        2: seen[:, ::-1],
        3: seen[::-1, ::-1],
        4: seen[::-1],
        5: seen.transpose(1, 0, 2),
        6: np.rot90(seen, 1),
        7: seen[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(seen, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if format_ == "JPEG" else {}
    stored = stored_as(Image.fromarray(np.ascontiguousarray(inverse[orientation])), format_, exif=exif, **options)
    pixels, size = decode(stored, None)
    assert size == picture_of(stored, None).size == (20, 30)
    assert np.abs(pixels.astype(int) - seen.astype(int)).mean() < (4 if format_ == "JPEG" else 0.01)
    on_canvas, size = decode(stored, 16)
    straight, _ = decode(stored_as(Image.fromarray(seen), "PNG"), 16)
    assert size == (20, 30)
    assert np.abs(on_canvas.astype(int) - straight.astype(int)).mean() < (4 if format_ == "JPEG" else 0.01)


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_to_eight(format_: str) -> None:
    wide = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    image = Image.fromarray(wide.astype(np.int32) if format_ == "PPM" else wide)
    pixels, _ = decode(stored_as(image, format_), None)
    assert np.array_equal(pixels[..., 1], np.rint(wide / 257).astype(np.uint8))


def _tiff(channels: int) -> bytes:
    """A TIFF of 2x2 pixels of so many bytes each."""
    data = bytes(4 * channels)
    entries = [(256, 3, 2), (257, 3, 2), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, channels)]
    entries += [(278, 3, 2), (279, 4, len(data))]
    packed = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(entries)) + packed + bytes(4)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (stored_as(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "floating-point"),
        (stored_as(Image.fromarray(np.zeros((4, 4), np.int32)), "TIFF"), "32 bits"),
        (_tiff(5), "5 channels"),
        (b"", "empty file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_pixels_that_cannot_be_read_say_why(stored: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        decode(stored, None)


def test_every_image_suffix_is_read_from_folders_and_shards_alike(tmp_path: Path) -> None:
    formats = {"jfif": "JPEG", "jp2": "JPEG2000", "tga": "TGA", "pgm": "PPM", "pcx": "PCX", "tiff": "TIFF"}
    (tmp_path / "a" / "x").mkdir(parents=True)
    members: dict[str, dict[str, bytes]] = {}
    for suffix, format_ in formats.items():
        members[suffix] = {suffix.upper(): encoded(picture(1), format_)}
        (tmp_path / "a" / "x" / f"{suffix}.{suffix}").write_bytes(members[suffix][suffix.upper()])
    write_tar(tmp_path / "a.tar", members)
    for source in (Folder("a", category=False).open(tmp_path), Tar("a.tar").open(tmp_path)):
        assert len(source) == len(formats)
        assert all(source.read(n, frozenset({"image"}))["image"].size == (24, 24) for n in range(len(formats)))


@pytest.mark.parametrize("form", ["folder", "parquet", "tar"])
def test_an_image_of_more_pixels_than_its_source_allows_is_broken(tmp_path: Path, form: str) -> None:
    stored = [encoded(picture(n, (40, 50 + (n == 1)))) for n in range(3)]
    sources = {"folder": Folder("a", category=False), "parquet": Parquet("a.parquet"), "tar": Tar("a.tar")}
    (tmp_path / "a").mkdir()
    for n, one in enumerate(stored):
        (tmp_path / "a" / f"{n}.png").write_bytes(one)
    parquet(tmp_path / "a.parquet", image=stored)
    write_tar(tmp_path / "a.tar", {str(n): {"png": one} for n, one in enumerate(stored)})
    word = replace(sources[form], largest=2000)
    read = frozenset({"image"})
    assert word.open(tmp_path).read(0, read)["image"].pixels.shape == (40, 50, 3)
    with pytest.raises(BrokenSample, match="more than 2000 pixels; `largest`"):
        word.open(tmp_path).read(1, read)
    assert replace(word, largest=2040).open(tmp_path).read(1, read)["image"].size == (40, 51)
    with pytest.raises(WordError, match="none of the images probed can be read") as caught:
        replace(word, largest=1999).open(tmp_path)
    assert "`largest` of the source sets how many" in str(caught.value.help)


def test_files_that_are_no_images_are_counted_by_suffix(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "a", {"cat": 2, "dog": 2})
    for name in ("x.psd", "y.psd", "z.CSV"):
        (root / "cat" / name).write_bytes(b"?")
    assert Folder("a", caption=True).open(tmp_path).remarks() == (
        "has 3 files that are no images and are left out: 2 .psd, 1 .csv",
    )
    assert "4 .txt" in Folder("a").open(tmp_path).remarks()[0]


# --- labels -----------------------------------------------------------------------------------------------------------


def parquet(path: Path, **columns: Any) -> None:
    rows = len(next(iter(columns.values())))
    image = [{"bytes": encoded(picture(row)), "path": None} for row in range(rows)]
    pq.write_table(pa.table({"image": image, **columns}), path)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (pa.array([5, 0, 10**6, 0]), ("0", "5", "1000000")),
        (pa.array([2**62 + 1, 2**62, 7, 7]), ("7", str(2**62), str(2**62 + 1))),
        (pa.array([2**64 - 1, 1, 1, 1], pa.uint64()), ("1", str(2**64 - 1))),
        (pa.array([3.0, 1.0, 3.0, 1.0]), ("1", "3")),
        (pa.array([True, False, True, True]), ("false", "true")),
        (pa.array(["b", "a", "b", "a"]).dictionary_encode(), ("a", "b")),
        (pa.array([9, 4, 9, 4]).dictionary_encode(), ("4", "9")),
    ],
)
def test_categories_of_a_column_are_the_values_that_occur(tmp_path: Path, values: Any, names: tuple[str, ...]) -> None:
    parquet(tmp_path / "a.parquet", label=values)
    source = Parquet("a.parquet", category="label", test="a.parquet").open(tmp_path)
    assert source.description().categories == names
    for split in (source, source.evaluation()):
        found = [names[split.read(n, frozenset({"category"}))["category"]] for n in range(4)]
        assert found == [
            {"True": "true", "False": "false"}.get(str(v), str(v).removesuffix(".0")) for v in values.to_pylist()
        ]


@pytest.mark.parametrize(
    ("values", "said"), [([0.5, 1.0], "0.5, which is no whole"), ([float("nan"), 1.0], "nan"), ([-1, 1], "holds -1")]
)
def test_a_column_of_other_numbers_is_refused(tmp_path: Path, values: list[float], said: str) -> None:
    parquet(tmp_path / "a.parquet", label=values)
    with pytest.raises(WordError, match=said) as caught:
        Parquet("a.parquet", category="label").open(tmp_path)
    assert caught.value.argument == "category"


@pytest.mark.parametrize(
    "metadata", ['{"info": null}', "[" * 10**5, '{"info": {"features": {"label": {"names": 3}}}}', "{"]
)
def test_metadata_of_others_is_ignored(tmp_path: Path, metadata: str) -> None:
    parquet(tmp_path / "a.parquet", label=[0, 1])
    table = pq.read_table(tmp_path / "a.parquet").replace_schema_metadata({b"huggingface": metadata.encode()})
    pq.write_table(table, tmp_path / "a.parquet")
    assert Parquet("a.parquet", category="label").open(tmp_path).description().categories == ("0", "1")


def test_categories_of_shards_are_the_values_that_occur(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {f"{n}": {**sample(n), "cls": str((70, 5, 10**6)[n % 3]).encode()} for n in range(6)})
    write_tar(tmp_path / "b.tar", {f"{n}": {**sample(n), "cls": b"70"} for n in range(2)})
    write_tar(tmp_path / "c.tar", {f"{n}": {**sample(n), "cls": b"71"} for n in range(2)})
    source = Tar("a.tar", category="cls", test="b.tar").open(tmp_path)
    assert source.description().categories == ("5", "70", "1000000")
    assert [source.read(n, frozenset({"category"}))["category"] for n in range(3)] == [1, 0, 2]
    assert source.evaluation().read(0, frozenset({"category"}))["category"] == 1
    with pytest.raises(WordError, match="test category `71` is not one of the 3") as caught:
        Tar("a.tar", category="cls", test="c.tar").open(tmp_path).evaluation()
    assert caught.value.argument == "test"


def test_values_of_labels() -> None:
    assert [label_of(value) for value in (True, 3.0, "12", "a", 4)] == ["true", 3, 12, "a", 4]


@pytest.mark.parametrize(
    ("kind", "stored", "reason"),
    [
        ("cls", b"9" * 5000, "5000 characters"),
        ("cls", b"-1", "its category is -1"),
        ("cls", b"", "neither a number nor a name"),
        ("json", b'{"label": %s}' % (b"1" * 100), "a number of 100 digits"),
        ("json", b'{"label": ' + b"[" * 10**5, "nested too deeply"),
        ("json", b'{"label": 0.5}', "neither a number nor a name"),
        ("json", b'{"label": %s}' % (b"1" * 5000), "cannot be read"),
        ("json", b'{"class": 1, "url": 2}', "no `label`; there is `class`, `url`"),
    ],
)
def test_a_label_that_is_none_breaks_its_sample_only(tmp_path: Path, kind: str, stored: bytes, reason: str) -> None:
    members = {f"{n}": {**sample(n), "json": b'{"label": "%d"}' % (n % 2)} for n in range(4)}
    members["2"][kind] = stored
    write_tar(tmp_path / "a.tar", members)
    source = Tar("a.tar", category="cls" if kind == "cls" else "json.label").open(tmp_path)
    assert source.read(1, frozenset({"category"}))["category"] == 1
    with pytest.raises(BrokenSample, match=reason):
        source.read(2, frozenset({"category"}))


def test_keys_of_json_may_have_dots(tmp_path: Path) -> None:
    about = {"a.b": {"c": "one"}, "a": {"b": {"d": "two"}}}
    write_tar(tmp_path / "a.tar", {"0": {"jpg": encoded(picture(0)), "json": json.dumps(about).encode()}})
    assert Tar("a.tar", caption="json.a.b.c").open(tmp_path).read(0, frozenset({"text"}))["text"] == "one"
    for member, reason in (("json.a.b.d", "there is `c`"), ("json.a.b.c.e", r"its `\.json` has no `a\.b\.c\.e`$")):
        with pytest.raises(BrokenSample, match=reason):
            Tar("a.tar", caption=member).open(tmp_path).read(0, frozenset({"text"}))


def test_the_rule_of_the_first_dot_is_said(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {f"{n}.v1": sample(n) for n in range(2)})
    with pytest.raises(WordError) as caught:
        Tar("a.tar").open(tmp_path)
    assert "`.v1.jpg`" in (caught.value.help or "")
    assert "the first dot of a name" in (caught.value.help or "")


# --- captions ---------------------------------------------------------------------------------------------------------


def _captioned(tmp_path: Path, form: str) -> Dataset:
    """A source of 32 samples, each with three captions."""
    texts = [[f"{n} {word}" for word in ("ant", "bee", "cat")] for n in range(32)]
    if form == "parquet":
        parquet(tmp_path / "a.parquet", caption=texts)
        return Parquet("a.parquet", caption="caption").open(tmp_path)
    about = [json.dumps({"caption": text}).encode() for text in texts]
    write_tar(tmp_path / "a.tar", {f"{n:02}": {**sample(n), "json": about[n]} for n in range(32)})
    return Tar("a.tar", caption="json.caption").open(tmp_path)


@pytest.mark.parametrize("form", ["parquet", "tar"])
def test_one_of_several_captions_is_drawn_each_time(tmp_path: Path, form: str) -> None:
    source = _captioned(tmp_path, form)
    assert source.read(3, frozenset({"text"}))["text"] == ("3 ant", "3 bee", "3 cat")
    word = Tar("a.tar", caption="json.caption") if form == "tar" else Parquet("a.parquet", caption="caption")
    inputs = (ViewInput("x", "view1"), FieldInput("t", "images", "text", Text(), "words"))

    def drawn(seed: int, workers: int = 0, batch: int = 16) -> dict[int, dict[int, str]]:
        """By epoch and sample the word of the caption."""
        stream = Stream(program({"images": word}, batch, seed=seed), inputs, base=tmp_path, workers=workers)
        found: dict[int, dict[int, str]] = {}
        for made in stream.batches(0, 4 * 32 // batch):
            for number, tokens in zip(made.samples.tolist(), made["t"], strict=True):
                text = bytes(tokens[1 : tokens.tolist().index(258)].sub(1).byte().tolist()).decode()
                assert text.split()[0] == str(number)
                found.setdefault(made.epoch, {})[number] = text.split()[1]
        return found

    first = drawn(0)
    assert {epoch: set(words.values()) for epoch, words in first.items()} == {
        e: {"ant", "bee", "cat"} for e in range(4)
    }
    assert any(first[0][n] != first[1][n] for n in range(32))
    assert first == drawn(0, workers=1, batch=8), "of the sample and the epoch, not of the batch"
    assert first != drawn(1)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (7, r"a number \(7\)"),
        ([], "an empty list"),
        (["a", 3], "a list with a number"),
        ({}, "an object"),
        (None, "null"),
    ],
)
def test_what_is_no_caption_says_what_it_is(tmp_path: Path, value: object, reason: str) -> None:
    about = json.dumps({"caption": value}).encode()
    write_tar(tmp_path / "a.tar", {"0": {"jpg": encoded(picture(0)), "json": about}})
    with pytest.raises(BrokenSample, match=reason):
        Tar("a.tar", caption="json.caption").open(tmp_path).read(0, frozenset({"text"}))


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_each_line_of_a_text_may_be_a_caption(tmp_path: Path, form: str) -> None:
    text = "a cat\r\n\n  a grey cat\u2028asleep \n"
    (tmp_path / "a").mkdir()
    for name, content in (("0", text.encode()), ("1", b" \n\n"), ("2", b"one")):
        (tmp_path / "a" / f"{name}.png").write_bytes(encoded(picture(0)))
        (tmp_path / "a" / f"{name}.txt").write_bytes(content)
    members = {n: {kind: (tmp_path / "a" / f"{n}.{kind}").read_bytes() for kind in ("png", "txt")} for n in "012"}
    write_tar(tmp_path / "a.tar", members)
    whole = {"folder": Folder("a", category=False, caption=True), "tar": Tar("a.tar", caption="txt")}[form]
    source, read = replace(whole, lines=True).open(tmp_path), frozenset({"text"})
    assert source.read(0, read)["text"] == ("a cat", "a grey cat\u2028asleep")
    assert source.read(2, read)["text"] == ("one",)
    with pytest.raises(BrokenSample, match="has no line with a text"):
        source.read(1, read)
    assert whole.open(tmp_path).read(0, read)["text"] == text.strip(), "one caption, unless asked"


@pytest.mark.parametrize(
    ("word", "argument"),
    [
        (Folder("a", lines=True), "lines"),
        (Tar("a", lines=True), "lines"),
        (Tar("a", caption="json.a", lines=True), "lines"),
        (Tar("a", caption="a caption"), "caption"),
        (Tar("a", category="json."), "category"),
        (Tar("a", names="names.txt"), "names"),
    ],
)
def test_arguments_that_need_others_or_name_nothing(word: Folder | Tar, argument: str) -> None:
    with pytest.raises(WordError) as caught:
        word.check()
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    "word",
    [
        Folder("a"),
        Folder("a", caption=True, lines=True),
        Tar("a", caption="txt", lines=True),
        Tar("a", caption="json.a"),
        Tar("a", category="cls", names="names.txt"),
    ],
)
def test_arguments_that_fit(word: Folder | Tar) -> None:
    word.check()


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda path: Tar(path), lambda path: Parquet(path), lambda path: Folder(path)])
def test_a_pipe_is_refused_at_once(tmp_path: Path, make: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WordError, match="neither a file nor a folder") as caught:
        make("pipe").open(tmp_path)
    assert caught.value.argument == "path"


def test_a_pipe_among_files_is_passed_over(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "a", {"cat": 2, "dog": 2})
    os.mkfifo(root / "cat" / "pipe.png")
    assert len(Folder("a").open(tmp_path)) == 4
    parquet(tmp_path / "p.parquet", label=[0, 1])
    image = [{"bytes": None, "path": "a/cat/pipe.png"}, {"bytes": encoded(picture(0)), "path": None}]
    pq.write_table(pa.table({"image": image}), tmp_path / "p.parquet")
    with pytest.raises(BrokenSample, match="is a pipe"):
        Parquet("p.parquet").open(tmp_path).read(0, frozenset({"image"}))


def test_loops_of_links_end(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "a", {"cat": 2, "dog": 2})
    for name in ("cat", "dog"):
        (root / name / "again").symlink_to("..")
    source = Folder("a").open(tmp_path)
    assert len(source) == 4
    assert any("2 links that are left out" in remark for remark in source.remarks())
    image_folder(tmp_path / "elsewhere", {"owl": 3})
    (root / "owl").symlink_to(tmp_path / "elsewhere" / "owl")
    assert len(Folder("a").open(tmp_path)) == 7, "a link to other images is followed"


@pytest.mark.parametrize(
    "pattern", ["{0..9999999999}.tar", "{0..%s}.tar" % ("9" * 5000), "{0..999}/{0..999}/{0..9}.tar"]
)
def test_ranges_that_no_source_has_are_refused_before_they_are_written_out(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(WordError, match="stands for more than 1,000,000 files"):
        Tar(pattern).open(tmp_path)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("simplecache::file:///tmp/a.tar", "one address within another"),
        ("zip://a.tar::http://x/y.zip", "no protocol that can be read"),
        ("reference://x", "no protocol that can be read"),
        ("ssh://x/a.tar", "no protocol that can be read"),
    ],
)
def test_only_plain_addresses_are_opened(tmp_path: Path, address: str, reason: str) -> None:
    with pytest.raises(WordError, match=reason):
        Tar(address).open(tmp_path)


# --- content ----------------------------------------------------------------------------------------------------------


def test_files_that_changed_places_are_another_source(tmp_path: Path) -> None:
    root = tmp_path / "a"
    for place, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        (root / name / "0.bmp").write_bytes(encoded(picture(place), "BMP"))
    before = Folder("a").open(tmp_path).description()
    first, second = (root / "cat" / "0.bmp"), (root / "dog" / "0.bmp")
    one, other = first.read_bytes(), second.read_bytes()
    assert len(one) == len(other) < WHOLE
    first.write_bytes(other)
    second.write_bytes(one)
    after = Folder("a").open(tmp_path).description()
    assert (after.samples, after.categories) == (before.samples, before.categories)
    assert after.fingerprint != before.fingerprint


def test_labels_that_changed_under_equal_size_and_time_are_noticed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {f"{n}": sample(n) for n in range(6)})
    word, status = Tar("a.tar", category="cls"), path.stat()
    before = word.open(tmp_path).description()
    write_tar(path, {f"{n}": {**sample(n), "cls": b"01"[n % 2 :][:1]} for n in range(6)})
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    after = word.open(tmp_path).description()
    assert (before.categories, after.categories) == (("0", "1", "2"), ("0", "1"))
    assert before.fingerprint != after.fingerprint


def test_data_that_goes_away_ends_training_with_its_code(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "a", {"cat": 8, "dog": 8})
    inputs = (ViewInput("x", "view1"), FieldInput("c", "images", "category", Category()))
    stream = Stream(program({"images": Folder("a")}, 8), inputs, base=tmp_path)
    root.rename(tmp_path / "gone")
    with pytest.raises(RecipeError) as caught:
        stream.batch_at(0)
    assert [found.code for found in caught.value.diagnostics] == ["M3I0521"]
    assert "00.png" in caught.value.diagnostics[0].notes[0] or ".png" in caught.value.diagnostics[0].notes[0]


def test_what_the_cache_keeps_is_made_again_on_any_fault(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        return b"content" * 100

    kept = Cache(tmp_path / "kept", 10**9)
    assert bytes(kept.content("key", ".x", make)) == b"content" * 100
    path = next(path for path in kept.folder.iterdir() if path.is_file())
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:90] + b"?" + whole[91:], whole + b"?"):
        path.write_bytes(damaged)
        assert bytes(kept.content("key", ".x", make)) == b"content" * 100
    assert len(made) == 5
    assert bytes(kept.content("key", ".x", make)) == b"content" * 100
    assert len(made) == 5


def test_a_compressed_shard_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"0": sample(0)})
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(WordError, match=r"compressed \(gzip\)"):
        Tar("a.tar.gz").open(tmp_path)
