"""Damage of a tar file is noticed wherever it is, and no sample is made twice of one."""

from __future__ import annotations

import io
import json
import os
import pickle  # noqa: TID251  # what torch sends a dataset to a spawned worker with
import resource
import tarfile
from pathlib import Path

import pytest

from m3i_dsl.data.readers.tar_index import index_of, samples_in
from m3i_dsl.data.readers.tar_members import BLOCK, COMPRESSED, MOST_HEADER, DamagedShard, members, samples
from m3i_dsl.vocabulary.kinds import WordError
from m3i_dsl.vocabulary.sources import Folder, Tar
from tests.data.programs import image_folder
from tests.data.shards import shards, write_tar


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3IC_CACHE", str(tmp_path / "cache"))


def walked(content: bytes, *, seek: bool = True) -> list[tuple[str, dict[str, bytes]]]:
    """The samples with their bytes. Raises DamagedShard."""
    found = samples(members(io.BytesIO(content), len(content), seek=seek))
    return [(key, {kind: content[at : at + size] for kind, (at, size) in kinds.items()}) for key, kinds in found]


def tar(
    names: dict[str, bytes], format_: int = tarfile.GNU_FORMAT, headers: dict[str, dict[str, str]] | None = None
) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format_) as archive:
        for name, stored in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(stored)
            info.pax_headers = (headers or {}).get(name, {})
            archive.addfile(info, io.BytesIO(stored))
    return file.getvalue()


GOOD = {f"{n:03}.{kind}": f"{n} {kind}".encode() * 70 for n in range(4) for kind in ("jpg", "cls")}
PLAIN = tar(GOOD)
ENDS = len(GOOD) * 2 * BLOCK
"""Where the end-of-archive marker begins: each member has one block of header and one of content."""


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("seek", [True, False])
def test_every_format_gives_the_same_samples(format_: int, seek: bool) -> None:
    long = {f"{'deep/' * 15}{'x' * 60}{n}.jpg": b"1" for n in range(2)}
    wide = {} if format_ == tarfile.USTAR_FORMAT else {f"{'deep/' * 60}\u00e9{n}.jpg": b"2" for n in range(2)}
    names = {**GOOD, **long, **wide}
    found = walked(tar(names, format_), seek=seek)
    assert {f"{key}.{kind}": stored for key, kinds in found for kind, stored in kinds.items()} == names
    assert len(found) == 4 + len(long) + len(wide)


@pytest.mark.parametrize("seek", [True, False])
def test_a_file_that_ends_anywhere_before_its_marker_is_damaged(seek: bool) -> None:
    for length in range(BLOCK, ENDS + 1, BLOCK // 4):
        with pytest.raises(DamagedShard, match=r"at byte \d+"):
            walked(PLAIN[:length], seek=seek)
    assert len(walked(PLAIN[: ENDS + BLOCK], seek=seek)) == 4


def test_a_flipped_bit_anywhere_in_a_header_is_damage() -> None:
    for header in range(0, ENDS, 2 * BLOCK):
        for byte in range(BLOCK):
            damaged = bytearray(PLAIN)
            damaged[header + byte] ^= 1 << (byte % 7)
            try:
                found = walked(bytes(damaged))
            except DamagedShard:
                continue
            # Spaces and zeros around the checksum itself are all that it does not cover.
            assert 148 <= byte < 156, (header, byte)
            assert found == walked(PLAIN)


@pytest.mark.parametrize("size", ["-4096", "-1", "1e3", "", "9" * 30, str(2**62)])
def test_sizes_that_are_none_are_damage(size: str) -> None:
    with pytest.raises(DamagedShard, match=r"size|cut off"):
        walked(tar(GOOD, tarfile.PAX_FORMAT, {"002.jpg": {"size": size}}))


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


MARKER = bytes(2 * BLOCK)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (PLAIN[:ENDS], f"it ends at byte {ENDS} without the end-of-archive marker"),
        (PLAIN[: 2 * BLOCK + 1], "it is cut off within the header at byte 1024"),
        (b"words " * BLOCK, "it is no tar file"),
        (PLAIN[: 2 * BLOCK] + b"words " * BLOCK, "the header at byte 1024 is damaged: invalid header"),
        (header("0.jpg", size=-1) + MARKER, "the header at byte 0 has a size of -1"),
        (header("0.jpg", tarfile.GNUTYPE_SPARSE) + MARKER, "`0.jpg` at byte 0 is a sparse file, which is not read"),
        (
            tar({"0.jpg": b"1"}, tarfile.PAX_FORMAT, {"0.jpg": {"GNU.sparse.major": "1"}}),
            "`0.jpg` at byte 0 is a sparse file, which is not read",
        ),
        (
            header("0", tarfile.XHDTYPE, 9) + b"9 path=x\n".ljust(BLOCK, b"\0") + MARKER,
            "it ends at byte 2048 between an extended header and its file",
        ),
        (
            header("0", tarfile.XHDTYPE, MOST_HEADER + 1),
            f"the extended header at byte 0 has a size of {MOST_HEADER + 1}",
        ),
        (header("0", tarfile.XHDTYPE, 10) + b"9 path=x\n", "it is cut off within the extended header at byte 0"),
        *(
            (magic + PLAIN, f"it is compressed ({name}); unpack it first, images gain nothing from it")
            for magic, name in COMPRESSED.items()
        ),
    ],
)
def test_damage_is_said_with_its_place(content: bytes, message: str) -> None:
    with pytest.raises(DamagedShard) as caught:
        walked(content)
    assert str(caught.value) == message


def test_links_and_folders_are_no_members_and_have_no_bytes() -> None:
    others = [
        header(f"0.{kind.decode()}", kind, 10**6) for kind in (tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
    ]
    assert walked(b"".join(others) + PLAIN) == walked(PLAIN)


def test_a_file_without_members_has_no_samples() -> None:
    assert walked(MARKER) == []


def test_a_size_in_an_extended_header_counts() -> None:
    assert walked(tar(GOOD, tarfile.PAX_FORMAT, {"002.jpg": {"size": str(len(GOOD["002.jpg"]))}})) == walked(PLAIN)


def test_what_stands_behind_the_marker_is_noticed() -> None:
    with pytest.raises(DamagedShard, match=f"behind the end-of-archive marker at byte {ENDS}"):
        walked(PLAIN[: ENDS + 2 * BLOCK] + PLAIN)


@pytest.mark.parametrize("length", [0, 7, 100, 999])
def test_extended_headers_that_lie_about_their_length_are_damage(length: int) -> None:
    stored = bytearray(tar({"a" * 200 + ".jpg": b"1"}, tarfile.PAX_FORMAT))
    record = stored.index(b" path=")
    stored[record - 3 : record] = f"{length:03}".encode()
    with pytest.raises(DamagedShard, match="extended header at byte 0 is damaged"):
        walked(bytes(stored))


def test_members_of_a_sample_that_are_not_together_are_refused(tmp_path: Path) -> None:
    apart = {**{f"{n}.jpg": b"1" for n in range(3)}, **{f"{n}.cls": b"1" for n in range(3)}}
    with pytest.raises(DamagedShard, match="sample `0` comes back at byte 3072"):
        walked(tar(apart))
    (tmp_path / "a.tar").write_bytes(tar(apart))
    damage = index_of(tmp_path / "a.tar").damage
    assert damage is not None
    assert "--sort=name" in damage
    with pytest.raises(DamagedShard, match="comes back"):
        samples_in(io.BytesIO(tar(apart)), len(tar(apart)))


def test_a_member_that_comes_twice_is_refused() -> None:
    with pytest.raises(DamagedShard, match=r"sample `1` has two members `.cls`, the second at byte 4096"):
        walked(tar({"0.jpg": b"1", "0.cls": b"1", "1.jpg": b"1", "1.cls": b"1", "1.CLS": b"2"}))


def test_samples_before_damage_stay_and_the_one_within_goes(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {f"{n}": {"jpg": b"1", "cls": b"2"} for n in range(4)})
    path.write_bytes(path.read_bytes()[: 5 * 2 * BLOCK + 100])
    index = index_of(path)
    assert [index.key(n) for n in range(len(index))] == ["0", "1"]
    assert index.damage is not None


def test_an_index_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {f"{n}": {"jpg": b"1", "cls": b"2"} for n in range(4)})
    before = index_of(path).members["jpg"].tolist()
    (kept,) = (tmp_path / "cache").glob("*.index")
    whole = kept.read_bytes()
    kept.unlink()
    kept.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    assert index_of(path).members["jpg"].tolist() == before
    assert kept.read_bytes() == whole


@pytest.mark.parametrize("size", [True, -1, 10**12, 10**30, 1.5, None, "3"])
def test_sizes_that_are_no_numbers_of_samples_are_refused(tmp_path: Path, size: object) -> None:
    shards(tmp_path, [3])
    (tmp_path / "sizes.json").write_text(json.dumps({"shard-00000.tar": size}))
    with pytest.raises(WordError, match="JSON object of shard names and numbers"):
        Tar(str(tmp_path), canvas=24).open(tmp_path)


def test_samples_that_the_sizes_do_not_count_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    shards(tmp_path, [5])
    (tmp_path / "sizes.json").write_text('{"shard-00000.tar": 3}')
    with pytest.raises(WordError) as caught:
        Tar(str(tmp_path), canvas=24).open(tmp_path)
    assert "the shard has 5 samples, not 3" in (caught.value.help or "")


def test_want_of_descriptors_is_no_fault_of_a_sample(tmp_path: Path) -> None:
    shards(tmp_path, [3, 3])
    image_folder(tmp_path / "images", {"a": 3})
    sources = [
        Tar(str(tmp_path / "shard-*.tar"), canvas=24).open(tmp_path),
        Folder(str(tmp_path / "images"), canvas=24).open(tmp_path),
    ]
    sources = [pickle.loads(pickle.dumps(source)) for source in sources]  # with no file open
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.open(os.devnull, os.O_RDONLY)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, limits[1]))
    try:
        for source in sources:
            with pytest.raises(WordError, match="no file can be opened: too many open files"):
                source.read(0, frozenset({"image"}))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for source in sources:
        assert "image" in source.read(0, frozenset({"image"}))
