"""Data behind URLs: the bounded cache that all processes share, and what happens when a store does not answer."""

from __future__ import annotations

import base64
import errno
import functools
import hashlib
import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch

from m3i_dsl.data.readers import places, tar_contents
from m3i_dsl.data.readers.cache import Cache, size_of, user_cache
from m3i_dsl.data.readers.places import StoragePlace, Unreachable
from m3i_dsl.data.stream import Stream
from m3i_dsl.ir.inputs import FieldInput, ViewInput
from m3i_dsl.vocabulary.kinds import WordError
from m3i_dsl.vocabulary.modalities import Category
from m3i_dsl.vocabulary.sources.parquet import Parquet
from m3i_dsl.vocabulary.sources.tar import Tar
from tests.data.programs import encoded, picture, program
from tests.data.shards import shards

INPUTS = (ViewInput("x1", "view1"), FieldInput("c", "images", "category", Category()))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("M3IC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(places, "PROTOCOLS", (*places.PROTOCOLS, "memory"))
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    """Six shards of six samples in a store without disk, which forked workers get a copy of."""
    files = fsspec.filesystem("memory")
    shards(tmp_path / "here", [6] * 6)
    for path in sorted((tmp_path / "here").glob("*.tar")):
        files.pipe(f"/bucket/{path.name}", path.read_bytes())
    yield "memory://bucket"
    files.rm("/bucket", recursive=True)


@pytest.mark.parametrize("pattern", ["shard-{00000..00005}.tar", "*.tar"])
def test_remote_shards_train_as_local_ones_do(tmp_path: Path, store: str, pattern: str) -> None:
    there = program({"images": Tar(f"{store}/{pattern}", category="cls")}, 8)
    here = program({"images": Tar("here/*.tar", category="cls")}, 8)
    far = list(Stream(there, INPUTS, base=tmp_path, workers=1).batches(0, 5))
    near = list(Stream(here, INPUTS, base=tmp_path).batches(0, 5))
    for one, other in zip(far, near, strict=True):
        assert one.samples.tolist() == other.samples.tolist()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_cache_stays_within_its_limit_and_training_goes_on(
    tmp_path: Path, store: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = fsspec.filesystem("memory").size("/bucket/shard-00000.tar")
    monkeypatch.setenv("M3IC_CACHE_SIZE", str(int(2.5 * size)))
    fsspec.filesystem("memory").pipe(
        "/bucket/sizes.json", json.dumps({f"shard-0000{n}.tar": 6 for n in range(6)}).encode()
    )
    (tmp_path / "names").write_text("a\nb\nc\n")
    recipe = program({"images": Tar(f"{store}/*.tar", category="cls", names="names")}, 4)
    batches = list(Stream(recipe, INPUTS, base=tmp_path).batches(0, 18))
    assert sorted(s for batch in batches[:9] for s in batch.samples.tolist()) == list(range(36))
    kept = [path for path in cache.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in kept) <= 2.5 * size + 10_000
    assert not [path for path in kept if ".part" in path.name]


def test_many_remote_shards_are_not_fetched_to_count_them(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(WordError, match="how many samples the 100 remote shards have is not known") as caught:
        Tar("memory://nowhere/{000..099}.tar").open(tmp_path)
    assert caught.value.argument == "path"
    assert not list(cache.glob("*")) or not [path for path in cache.iterdir() if path.is_file()]


def test_categories_of_many_remote_shards_are_not_looked_for(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_contents, "MOST_FETCHED", 5)
    counts = json.dumps({f"shard-0000{n}.tar": 6 for n in range(6)})
    fsspec.filesystem("memory").pipe("/bucket/sizes.json", counts.encode())
    with pytest.raises(WordError, match="the categories of so many remote shards are not known") as caught:
        Tar(f"{store}/*.tar", category="cls").open(tmp_path)
    assert caught.value.argument == "category"


def _fails(fault: Exception) -> Callable[..., Any]:
    def fails(*_: object, **__: object) -> Any:
        raise fault

    return fails


@pytest.mark.parametrize(
    ("part", "fault", "message"),
    [
        ("_open", ConnectionResetError("gone"), r"`memory://bucket/sizes\.json` cannot be read: "),
        ("get_file", FileNotFoundError("gone"), r"shard `shard-00000\.tar` cannot be fetched: "),
        ("glob", RuntimeError("gone"), r"`memory://bucket/\*\.tar` cannot be listed: gone"),
        ("_strip_protocol", ImportError("gone"), "`memory://` cannot be read: gone"),
        ("_strip_protocol", ValueError("gone"), "`memory://` is no protocol that can be read"),
    ],
)
def test_a_store_that_fails_is_a_fault_of_the_path(
    tmp_path: Path, store: str, part: str, fault: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(fsspec.filesystem("memory")), part, _fails(fault))
    try:
        with pytest.raises(WordError, match=message) as caught:
            Tar(f"{store}/*.tar").open(tmp_path)
    finally:
        monkeypatch.undo()
    assert caught.value.argument == "path"


def test_a_pattern_that_no_file_of_a_store_has(tmp_path: Path, store: str) -> None:
    with pytest.raises(WordError, match=r"no file matches `memory://bucket/\*\.parquet`") as caught:
        Tar(f"{store}/*.parquet").open(tmp_path)
    assert caught.value.argument == "path"


def test_a_shard_that_is_gone_makes_broken_samples(tmp_path: Path, store: str) -> None:
    fsspec.filesystem("memory").pipe(
        "/bucket/sizes.json", json.dumps({f"shard-0000{n}.tar": 6 for n in range(6)}).encode()
    )
    recipe = program({"images": Tar(f"{store}/shard-{{00000..00005}}.tar")}, 6)
    stream = Stream(recipe, INPUTS[:1], base=tmp_path)
    fsspec.filesystem("memory").rm("/bucket/shard-00004.tar")
    shown = {s for batch in stream.batches(0, 6) for s in batch.samples.tolist()}
    assert shown == set(range(24)) | set(range(30, 36))
    assert "shard-00004.tar sample 0: memory://bucket/shard-00004.tar: not found" in map(str, stream.broken.first)


def test_a_store_that_stumbles_is_asked_again_and_one_that_is_down_is_a_fault(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(fsspec.filesystem("memory"))
    original, failures = kind.get_file, [1, 2]

    def stumbling(self: object, *arguments: object, **options: object) -> object:
        if failures:
            failures.pop()
            raise ConnectionResetError("the peer went away")
        return original(self, *arguments, **options)

    monkeypatch.setattr(kind, "get_file", stumbling)
    assert StoragePlace(f"{store}/shard-00000.tar").local().stat().st_size > 0
    failures.extend(range(100))
    with pytest.raises(Unreachable, match=r"shard-00001\.tar: the peer went away \(4 attempts\)"):
        StoragePlace(f"{store}/shard-00001.tar").local()


@pytest.mark.parametrize("name", ["md5Hash", "Content-MD5"])
def test_what_comes_with_another_checksum_is_fetched_again(
    store: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of equal size: one bit is another."""
    kind = type(fsspec.filesystem("memory"))
    get, info, bad = kind.get_file, kind.info, [1, 2]

    def flipping(self: Any, path: str, target: str) -> None:
        get(self, path, target)
        if bad:
            bad.pop()
            content = bytearray(Path(target).read_bytes())
            content[len(content) // 2] ^= 1
            Path(target).write_bytes(content)

    def said(self: Any, path: str) -> dict[str, Any]:
        digest = hashlib.md5(self.cat_file(path)).digest()
        return {
            **info(self, path),
            name: base64.b64encode(digest).decode(),
            "ETag": '"00112233445566778899aabbccddeeff"',
        }

    monkeypatch.setattr(kind, "get_file", flipping)
    monkeypatch.setattr(kind, "info", said)
    there = fsspec.filesystem("memory").cat_file("/bucket/shard-00000.tar")
    assert StoragePlace(f"{store}/shard-00000.tar").local().read_bytes() == there
    bad.extend(range(100))
    with pytest.raises(Unreachable, match=r"shard-00001\.tar: what came has another checksum .* \(4 attempts\)"):
        StoragePlace(f"{store}/shard-00001.tar").local()


def test_a_shard_that_changed_is_fetched_again(store: str) -> None:
    place = StoragePlace(f"{store}/shard-00000.tar")
    first = place.local()
    assert place.local() == first
    fsspec.filesystem("memory").pipe("/bucket/shard-00000.tar", b"another, of another size")
    assert place.local().read_bytes() == b"another, of another size"


def test_remote_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = fsspec.filesystem("memory")
    rows = [{"image": {"bytes": encoded(picture(n)), "path": None}, "label": n % 3} for n in range(20)]
    for part in range(2):
        pq.write_table(pa.Table.from_pylist(rows[part * 10 : part * 10 + 10]), tmp_path / f"{part}.parquet")
        files.pipe(f"/rows/{part}.parquet", (tmp_path / f"{part}.parquet").read_bytes())
    far = Parquet("memory://rows/{0..1}.parquet", category="label").open(tmp_path)
    near = Parquet("*.parquet", category="label").open(tmp_path)
    assert far.shards() is not None
    assert far.shards().tolist() == [10, 10]  # type: ignore[union-attr]
    assert near.shards() is None
    for number in (0, 9, 10, 19):
        one, other = (source.read(number, frozenset({"image", "category"})) for source in (far, near))
        assert one["category"] == other["category"] == number % 3
        assert (one["image"].pixels == other["image"].pixels).all()


def test_http_with_workers(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="http needs aiohttp, an extra")
    shards(tmp_path / "data", [6] * 4)
    quiet = functools.partial(_Quiet, directory=str(tmp_path / "data"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/shard-{{00000..00003}}.tar"
        recipe = program({"images": Tar(url, category="cls")}, 8)
        far = list(Stream(recipe, INPUTS, base=tmp_path, workers=1).batches(0, 3))
        near = Stream(program({"images": Tar("data", category="cls")}, 8), INPUTS, base=tmp_path)
        assert all(torch.equal(one["x1"], near.batch_at(step)["x1"]) for step, one in enumerate(far))
        with pytest.raises(Unreachable, match="not found"):
            StoragePlace(url.replace("{00000..00003}", "00009")).local()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


# --- the cache --------------------------------------------------------------------------------------------------------


def _slowly(folder: str) -> str:
    import time

    def make(path: Path) -> None:
        with (Path(folder) / "made").open("a") as file:
            file.write("x")
        time.sleep(0.2)
        path.write_text("whole")

    return Cache(Path(folder) / "cache", 10**6).file("key", ".txt", make).read_text()


def test_processes_that_want_one_file_make_it_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        assert list(pool.map(_slowly, [str(tmp_path)] * 3)) == ["whole"] * 3
    assert (tmp_path / "made").read_text() == "x"


def test_what_was_used_longest_ago_leaves_first_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    small = Cache(tmp_path, 25)
    names: dict[str, Path] = {}
    for age, key in enumerate("abc"):
        names[key] = small.file(key, "", lambda path: path.write_bytes(b"0123456789") and None)
        os.utime(names[key], (age, age))
        if key == "b":
            os.utime(small.file("a", "", lambda path: None), (9, 9))
    assert [names[key].exists() for key in "abc"] == [True, False, True]

    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        small.file("d", "", fails)
    assert sorted(path for path in tmp_path.iterdir() if path.is_file()) == sorted([names["a"], names["c"]])
    with pytest.raises(AssertionError, match="two processes could wait for ever"):
        small.file("e", "", lambda path: small.file("f", "", fails) and None)


@pytest.mark.parametrize(
    ("written", "size"), [(None, 50 * 10**9), ("200GB", 200 * 10**9), ("1.5 tb", 15 * 10**11), ("12345", 12345)]
)
def test_sizes_of_the_cache(written: str | None, size: int) -> None:
    assert size_of(written) == size


def test_a_size_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3IC_CACHE_SIZE", "much")
    with pytest.raises(WordError, match="`much`, which is no size"):
        user_cache()


@pytest.mark.parametrize(
    ("number", "within", "refused"),
    [
        (errno.ENOSPC, None, True),
        (errno.EACCES, "cache", True),
        (errno.EACCES, "elsewhere", False),  # of the file that is copied, not of the cache
        (errno.EIO, "cache", False),
    ],
)
def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, number: int, within: str | None, refused: bool
) -> None:
    def fails(path: Path) -> None:
        raise OSError(number, os.strerror(number), None if within is None else str(tmp_path / within / "file"))

    with pytest.raises(WordError if refused else OSError) as caught:
        Cache(tmp_path / "cache", 25).file("a", "", fails)
    if refused:
        assert f"the cache folder {tmp_path / 'cache'} cannot be written: {os.strerror(number)}" in str(caught.value)
